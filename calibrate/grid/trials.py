"""The points of a study as Optuna's trials: which are done, which is next, and who runs it.

Optuna's GridSampler is not used: it shuffles its grid, so that the ERM stage would be trained over
and over; a trial that a dead process left is never run again once it counts as failed; and two
processes get the same point while the last ones run. Here every trial carries the number of its
point, and the one with the lowest number that was not cut short stands for it.
"""

from collections.abc import Iterable

from optuna import Study, Trial
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from clip_cfr.calibrate.grid.liveness import PROCESS, is_dead, process_name
from clip_cfr.calibrate.grid.plan import Plan

POINT, REASON, RUNS = "point", "reason", "runs"


def was_cut_short(trial: FrozenTrial) -> bool:
    """Whether a trial ended without a result: its process died, or another had its point."""
    return trial.state == TrialState.FAIL and REASON not in trial.user_attrs


def trial_of_each_point(trials: Iterable[FrozenTrial]) -> dict[int, FrozenTrial]:
    """The trial that stands for each point that has one, by point."""
    standing: dict[int, FrozenTrial] = {}
    for trial in sorted(trials, key=lambda each: each.number):
        if POINT in trial.user_attrs and not was_cut_short(trial):
            standing.setdefault(trial.user_attrs[POINT], trial)
    return dict(sorted(standing.items()))


def standing_trials(study: Study) -> dict[int, FrozenTrial]:
    """The same, of a study as it is now."""
    return trial_of_each_point(study.get_trials(deepcopy=False))


def finished_trials(study: Study) -> dict[int, FrozenTrial]:
    """The points that have come to an end."""
    return {k: each for k, each in standing_trials(study).items() if each.state.is_finished()}


def take_trial(study: Study, plan: Plan) -> Trial | None:
    """A trial that this process alone runs, or None where no point is left to begin."""
    while True:
        standing = standing_trials(study)
        point = first_free_point(standing, plan.num_points)
        if point is None:
            return None
        study.sampler = plan.make_sampler(point)
        if plan.sampler == "grid" and point not in standing:
            study.enqueue_trial(plan.combination(point), user_attrs={POINT: point})
        trial = study.ask()
        if POINT not in trial.user_attrs:
            trial.set_user_attr(POINT, point)
        trial.set_user_attr(PROCESS, process_name())
        if standing_trials(study)[trial.user_attrs[POINT]].number == trial.number:
            return trial
        cut_short(study, trial.number)  # another process had the same thought, and was first


def first_free_point(standing: dict[int, FrozenTrial], num_points: int) -> int | None:
    """The first point that nobody has begun; one that waits in the queue may be taken by any."""
    for point in range(num_points):
        if point not in standing or standing[point].state == TrialState.WAITING:
            return point
    return None


def release_dead(study: Study) -> None:
    """Frees the points that dead processes had begun."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if is_dead(trial):
            cut_short(study, trial.number)


def cut_short(study: Study, number: int) -> None:
    """Ends a trial without a result, so that its point is free again."""
    study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def copy_result(study: Study, trial: Trial) -> bool:
    """Ends a trial with the result of a point of equal settings, where there is one.

    A sampler may propose what it has proposed before.
    """
    for other in finished_trials(study).values():
        if other.state == TrialState.COMPLETE and other.params == trial.params:
            finish(study, trial, other.state, other.value, **{RUNS: other.user_attrs[RUNS]})
            return True
    return False


def finish(study: Study, trial: Trial, state: TrialState, value: float | None, **notes) -> None:
    """Ends a trial with what it came to; nothing where another process took it for dead."""
    try:
        for key, note in notes.items():
            trial.set_user_attr(key, note)
        study.tell(trial, value, state, skip_if_finished=True)
    except UpdateFinishedTrialError:
        return
