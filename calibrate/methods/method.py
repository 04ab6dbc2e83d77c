"""Declaration of a method: what it needs, its training stage and its settings. Imports no JAX."""

from dataclasses import dataclass
from typing import Literal

from clip_cfr.calibrate.core.stage_spec import (
    ERM_STAGE,
    IDENTIFICATION_STAGE,
    STAGE_SETTINGS,
    StageSpec,
)

# The settings that determine the calibration set, besides those of the identification stage.
CALIBRATION_SETTINGS = (
    *("calibration_source", "calibration_size", "calibration_subset"),
    *("calibration_minimum", "calibration_fallback"),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method, as its module declares it in `METHOD`.

    Attributes:
        group_labels: the split whose group labels it uses; `none`, or `named in words` if it uses
            the values that words give to the rows instead.
        named_split: the split whose rows with their named values it trains on; None if it uses
            none.
        uses_identification: whether it uses the head of the identification stage.
        uses_erm: whether it uses the head of the ERM stage.
        uses_calibration_set: whether it trains on the calibration set; then it needs the
            identification stage, too.
        stage: its training stage; None if it is not trained in steps.
        stream: index of its random numbers if it draws some without a stage; see `StageSpec`.
        settings: the settings of its own that can change its result; those of its stages and of the
            calibration set are added in `used_settings`.
        search: the settings to tune for it, whose ranges `Settings` gives; empty if nothing is
            trained, or if its fit chooses hyperparameters on the validation split.
        chooses_on_val: whether its fit chooses hyperparameters on the validation split.
    """

    group_labels: Literal["none", "train", "val", "named in words"] = "none"
    named_split: Literal["train", "val"] | None = None
    uses_identification: bool = False
    uses_erm: bool = False
    uses_calibration_set: bool = False
    stage: StageSpec | None = None
    stream: int | None = None
    settings: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    chooses_on_val: bool = False

    @property
    def trains_on_val(self) -> bool:
        """Whether its classifier is fitted on the validation split."""
        return "val" in (self.group_labels, self.named_split)

    @property
    def stages(self) -> tuple[StageSpec, ...]:
        """The stages to train, in order: those that it shares with others, and its own."""
        identifies = self.uses_identification or self.uses_calibration_set
        needed = {IDENTIFICATION_STAGE: identifies, ERM_STAGE: self.uses_erm, self.stage: True}
        return tuple(stage for stage, is_needed in needed.items() if stage and is_needed)

    @property
    def used_settings(self) -> tuple[str, ...]:
        """All settings that can change its result, besides the selection."""
        of_stages = (name for each in self.stages for name in (each.lr, each.steps))
        of_all = STAGE_SETTINGS if self.stages else ()
        of_set = CALIBRATION_SETTINGS if self.uses_calibration_set else ()
        return tuple(dict.fromkeys((*of_stages, *of_all, *of_set, *self.settings)))
