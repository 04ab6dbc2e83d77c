"""Declaration of a training stage: its settings and its random numbers. Imports no JAX."""

from collections.abc import Callable
from dataclasses import dataclass

from clip_cfr.calibrate.core.settings import ALWAYS_COUNTED, Settings

# The settings that every training stage depends on, besides its steps and its learning rate.
STAGE_SETTINGS = (
    *("batch_size", "momentum", "weight_decay", "dropout", "logit_scale", "freeze_logit_scale"),
    *("evaluations", "patience", "precision", "resample"),
)

# Evaluations of a stage that does not select heads; with `resident_rows`, its windows, too.
UNSELECTED_EVALUATIONS = 10


def minibatch_rows(settings: Settings) -> int:
    """Return the rows of a minibatch of the training split."""
    return settings.batch_size


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """A training stage.

    Attributes:
        name: name in progress reports and messages; that of its method.
        steps: the setting with its number of steps.
        lr: the setting with its learning rate.
        stream: index of its random numbers; stages with the same index draw the same ones.
        rows_per_step: returns the row indices that a step draws, at least.
        memory_settings: settings that lower `rows_per_step`, or words for several of them.
        cost: duration of a step over that of a step of ERM, for the progress bar.
        selects: whether heads are selected on the validation split. If not, the head of the last
            step is the result, `patience` does not apply, and there are few evaluations.
    """

    name: str
    steps: str = "steps"
    lr: str = "lr"
    stream: int
    rows_per_step: Callable[[Settings], int] = minibatch_rows
    memory_settings: tuple[str, ...] = ("batch_size",)
    cost: int = 1
    selects: bool = True

    def num_steps(self, settings: Settings) -> int:
        """Return the number of steps."""
        return getattr(settings, self.steps)

    def learning_rate(self, settings: Settings) -> float:
        """Return the learning rate."""
        return getattr(settings, self.lr)

    def num_evaluations(self, settings: Settings) -> int:
        """Return the largest number of evaluations on the validation split."""
        most = settings.evaluations
        return most if self.selects else min(most, UNSELECTED_EVALUATIONS)

    def patience(self, settings: Settings) -> int:
        """Return the evaluations without a better value after which the stage stops; 0: never."""
        return settings.patience if self.selects else 0

    def key(self, settings: Settings) -> tuple:
        """Return the values that the result depends on besides the task and the seed.

        The last one is the further criterion that the stage, by its patience, waits for; None if
        there is none.
        """
        values = (getattr(settings, name) for name in (self.lr, self.steps, *STAGE_SETTINGS))
        is_further = settings.selection not in (*ALWAYS_COUNTED, "last")
        further = settings.selection if self.patience(settings) and is_further else None
        return (*values, further)


# The short ERM whose errors are the calibration set; Just Train Twice calls it identification.
IDENTIFICATION_STAGE = StageSpec(
    name="identification",
    steps="identification_steps",
    lr="identification_lr",
    stream=0,
    selects=False,
)
ERM_STAGE = StageSpec(name="erm", steps="erm_steps", lr="erm_lr", stream=0)
# The stages that methods share, and the settings that one of them depends on.
SHARED_STAGES = (IDENTIFICATION_STAGE, ERM_STAGE)
SHARED_SETTINGS = (
    *(name for stage in SHARED_STAGES for name in (stage.lr, stage.steps)),
    *STAGE_SETTINGS,
)
