"""Declaration of a training stage: its settings and its random numbers. Imports no JAX."""

from collections.abc import Callable
from dataclasses import dataclass

from clip_cfr.calibrate.core.settings import Settings

# The settings that every training stage depends on, besides its steps and its learning rate.
STAGE_SETTINGS = (
    *("batch_size", "momentum", "weight_decay", "dropout", "logit_scale", "freeze_logit_scale"),
    *("evaluations", "patience", "precision", "resample"),
)


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
    """

    name: str
    steps: str = "steps"
    lr: str = "lr"
    stream: int
    rows_per_step: Callable[[Settings], int] = minibatch_rows
    memory_settings: tuple[str, ...] = ("batch_size",)
    cost: int = 1

    def num_steps(self, settings: Settings) -> int:
        """Return the number of steps."""
        return getattr(settings, self.steps)

    def learning_rate(self, settings: Settings) -> float:
        """Return the learning rate."""
        return getattr(settings, self.lr)


ERM_STAGE = StageSpec(name="erm", steps="erm_steps", lr="erm_lr", stream=0)
# The settings that the ERM stage, and everything computed with its head, depends on.
ERM_SETTINGS = (ERM_STAGE.lr, ERM_STAGE.steps, *STAGE_SETTINGS)
