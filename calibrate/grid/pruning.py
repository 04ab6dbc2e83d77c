"""Early stopping of unpromising points during their first seed, by Optuna's successive halving."""

from dataclasses import dataclass
from typing import Any

from optuna import Study, Trial, TrialPruned
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial

from clip_cfr.calibrate.grid.trials import was_abandoned

# Per cent of the first seed's steps after which the better half continues; the next time is
# REDUCTION times as late.
FIRST_COMPARISON, REDUCTION = 30, 2


class HalvingPruner(SuccessiveHalvingPruner):
    """Successive halving in which abandoned trials do not compete."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether to stop a trial: it is not in the better half at a comparison."""
        return super().prune(WithoutAbandonedTrials(study), trial)


@dataclass(frozen=True)
class WithoutAbandonedTrials:
    """View of a study that lists every trial except abandoned ones (`was_abandoned`).

    All other attributes are those of the study.

    Attributes:
        study: the study.
    """

    study: Study

    def __getattr__(self, name: str) -> Any:
        return getattr(self.study, name)

    def get_trials(self, *args, **kwargs) -> list[FrozenTrial]:
        """Return the trials of the study without abandoned ones; arguments as in Optuna."""
        trials = self.study.get_trials(*args, **kwargs)
        return [trial for trial in trials if not was_abandoned(trial)]


def make_pruner(prune: bool) -> BasePruner:
    """Return the pruner of a study: successive halving, or one that never prunes if not `prune`."""
    if not prune:
        return NopPruner()
    return HalvingPruner(min_resource=FIRST_COMPARISON, reduction_factor=REDUCTION)


@dataclass(frozen=True)
class PruningCallback:
    """Training callback that reports validation values to a trial and stops it if unpromising.

    Attributes:
        trial: the trial of the point that is fitted.
        criterion: the validation criterion to report.
        steps: number of steps of the whole stage.
    """

    trial: Trial
    criterion: str
    steps: int

    def __call__(self, step: int, values: dict[str, float]) -> None:
        """Report the best validation value so far at a step, in per cent of all steps.

        Args:
            step: number of steps done.
            values: best value so far by criterion.

        Raises:
            TrialPruned: the point is unpromising.
        """
        self.trial.report(values[self.criterion], 100 * step // self.steps)
        if self.trial.should_prune():
            raise TrialPruned(f"stopped at step {step} of {self.steps} of the first seed")
