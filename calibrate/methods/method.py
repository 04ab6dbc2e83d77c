"""Declaration of a method: what it needs, its training stage and its settings. Imports no JAX."""

from dataclasses import dataclass
from typing import Literal

from clip_cfr.calibrate.core.stage_spec import ERM_STAGE, STAGE_SETTINGS, StageSpec

# The settings that determine the calibration set, besides those of ERM.
CALIBRATION_SETTINGS = (
    *("calibration_source", "calibration_size", "calibration_subset"),
    *("calibration_minimum", "calibration_fallback"),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method, as its module declares it in `METHOD`.

    Attributes:
        group_labels: the split whose group labels it uses, or `none`.
        uses_erm: whether it uses the head of the ERM stage.
        uses_calibration_set: whether it trains on the calibration set; then it needs ERM, too.
        stage: its training stage; None if it is not trained in steps.
        stream: index of its random numbers if it draws some without a stage; see `StageSpec`.
        settings: the settings of its own that can change its result; those of its stages and of the
            calibration set are added in `used_settings`.
        search: the settings to tune for it, whose ranges `Settings` gives; empty if nothing is
            trained, or if its fit chooses hyperparameters on the validation split.
    """

    group_labels: Literal["none", "train", "val"] = "none"
    uses_erm: bool = False
    uses_calibration_set: bool = False
    stage: StageSpec | None = None
    stream: int | None = None
    settings: tuple[str, ...] = ()
    search: tuple[str, ...] = ()

    @property
    def stages(self) -> tuple[StageSpec, ...]:
        """The stages to train, in order: that of ERM if it is needed, and its own."""
        needs_erm = self.uses_erm or self.uses_calibration_set
        stages = ((ERM_STAGE,) if needs_erm else ()) + ((self.stage,) if self.stage else ())
        return tuple(dict.fromkeys(stages))

    @property
    def used_settings(self) -> tuple[str, ...]:
        """All settings that can change its result, besides the selection."""
        of_stages = (name for each in self.stages for name in (each.lr, each.steps))
        of_all = STAGE_SETTINGS if self.stages else ()
        of_set = CALIBRATION_SETTINGS if self.uses_calibration_set else ()
        return tuple(dict.fromkeys((*of_stages, *of_all, *of_set, *self.settings)))
