"""Stops points that the first seed shows to be hopeless, by Optuna's successive halving."""

from optuna import Study, Trial, TrialPruned
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial

from clip_cfr.calibrate.core.train import Watch
from clip_cfr.calibrate.grid.trials import was_cut_short

# In per cent of the first seed's steps: the better half goes on at 30, of those the better at 60.
FIRST_LOOK, REDUCTION = 30, 2


class Halving(SuccessiveHalvingPruner):
    """Successive halving among points; what was cut short competes with nobody."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return super().prune(Whole(study), trial)


class Whole(Study):
    """A study without the trials that were cut short."""

    def __init__(self, study: Study):
        super().__init__(study.study_name, study._storage, study.sampler, study.pruner)

    def get_trials(self, *args, **kwargs) -> list[FrozenTrial]:
        return [each for each in super().get_trials(*args, **kwargs) if not was_cut_short(each)]


def make_pruner(prune: bool) -> BasePruner:
    """The pruner of a study."""
    if not prune:
        return NopPruner()
    return Halving(min_resource=FIRST_LOOK, reduction_factor=REDUCTION)


def watch(trial: Trial, criterion: str, steps: int) -> Watch:
    """Reports to a trial how its first seed does, and ends what is hopeless.

    Raises:
        TrialPruned: from within.
    """

    def hear(step: int, values: dict[str, float]) -> None:
        trial.report(values[criterion], 100 * step // steps)
        if trial.should_prune():
            raise TrialPruned(f"stopped at step {step} of {steps} of the first seed")

    return hear
