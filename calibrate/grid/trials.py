"""Store points as Optuna trials: find finished points, claim the next one, store its result.

A point of a full grid is identified by its settings, which its trial has as a user attribute, so
that a grid may grow; a proposed point is identified by its number. If several trials belong to one
point, the one with the lowest number counts, unless it was abandoned.

Optuna's GridSampler is not suitable: it shuffles the grid, so that shared stages would be trained
again and again; it never repeats a trial whose process died; and two processes get the same point
while the last ones run.
"""

from dataclasses import dataclass
from typing import Any

from optuna import Study, Trial
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from clip_cfr.calibrate.core.settings import Value
from clip_cfr.calibrate.grid.liveness import PROCESS, is_dead, process_name
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.point_result import PointResult, SeedResult
from clip_cfr.calibrate.grid.storage import report_damage

# User attributes of a trial.
POINT, SETTINGS, REASON, RUNS = "point", "settings", "reason", "runs"
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Search:
    """A plan and the Optuna study that stores its points.

    Attributes:
        plan: the plan of one method or reference.
        study: its study, in an open storage.
    """

    plan: Plan
    study: Study


def was_abandoned(trial: FrozenTrial) -> bool:
    """Return whether a trial ended without a result: its process died, or it was a duplicate."""
    return trial.state == TrialState.FAIL and REASON not in trial.user_attrs


def trial_settings(trial: FrozenTrial | Trial) -> dict[str, Value]:
    """Return the varied settings of a trial by name; empty before a sampler has proposed them.

    They are parameters of the trial if a sampler proposed them, or an earlier version ran it.
    """
    return trial.user_attrs.get(SETTINGS, trial.params)


def point_of_trial(plan: Plan, trial: FrozenTrial | Trial) -> int | None:
    """Return the index of the point that a trial belongs to; None if the plan has no such point."""
    if plan.sampler == "grid":
        return plan.index_of(trial_settings(trial))
    point = trial.user_attrs.get(POINT)
    return point if point is not None and point < plan.num_points else None


def assigned_trials(search: Search) -> dict[int, FrozenTrial]:
    """Return the trial of each point that has one, by ascending index of the point.

    Of several trials it is the one with the lowest number; abandoned trials do not count.

    Raises:
        DamagedValueError: a stored value cannot be decoded.
    """
    trials: dict[int, FrozenTrial] = {}
    with report_damage():
        for trial in search.study.get_trials(deepcopy=False):
            point = point_of_trial(search.plan, trial)
            if point is not None and not was_abandoned(trial):
                trials.setdefault(point, trial)
    return dict(sorted(trials.items()))


def finished_trials(search: Search) -> dict[int, FrozenTrial]:
    """Return the trial of each finished point, by ascending index of the point.

    Finished are complete, pruned and failed ones, but not abandoned ones.

    Raises:
        DamagedValueError: a stored value cannot be decoded.
    """
    trials = assigned_trials(search)
    return {point: trial for point, trial in trials.items() if trial.state.is_finished()}


def point_result(plan: Plan, point: int, trial: FrozenTrial) -> PointResult:
    """Return the result of a finished trial.

    Args:
        plan: the plan of the trial.
        point: index of the trial's point.
        trial: the trial.

    Raises:
        DamagedValueError: a stored value is missing or cannot be decoded.
    """
    with report_damage():
        settings = trial_settings(trial)
        runs = trial.user_attrs.get(RUNS, ())
        if trial.state == TrialState.COMPLETE and not runs:
            raise ValueError("a complete point has no result")
        return PointResult(
            method=plan.method,
            point=point,
            state=STATES[trial.state],
            settings={name: settings[name] for name in plan.space if name in settings},
            runs=tuple(SeedResult.from_json(run) for run in runs),
            seconds=trial.duration.total_seconds(),
            reason=trial.user_attrs.get(REASON),
        )


def point_results(search: Search) -> list[PointResult]:
    """Return the results of the finished points, in the order of their indices.

    Finished are complete, pruned and failed points.

    Raises:
        DamagedValueError: a stored value is missing or cannot be decoded.
    """
    trials = finished_trials(search)
    return [point_result(search.plan, point, trial) for point, trial in trials.items()]


def claim_trial(search: Search) -> Trial | None:
    """Return a running trial of the first free point, or None if every point is taken.

    No other process runs the trial: if two claim one point, the trial with the lower number keeps
    it, and the other process claims the next one.

    Raises:
        DamagedValueError: a stored value cannot be decoded.
    """
    plan, study = search.plan, search.study
    while True:
        assigned = assigned_trials(search)
        point = first_free_point(assigned, plan.num_points)
        if point is None:
            return None
        study.sampler = plan.make_sampler(point)
        given = plan.given_values(point)
        if given is not None and point not in assigned:
            # The trial is created with its settings, so that no process sees a trial without them.
            number = {} if plan.sampler == "grid" else {POINT: point}
            study.enqueue_trial({}, user_attrs={SETTINGS: given, **number})
        trial = study.ask()
        if plan.sampler != "grid" and POINT not in trial.user_attrs:
            trial.set_user_attr(POINT, point)
        trial.set_user_attr(PROCESS, process_name())
        if owns_its_point(search, trial):
            return trial
        abandon_trial(study, trial.number)


def owns_its_point(search: Search, trial: Trial) -> bool:
    """Return whether a trial is the one that counts for its point, see `assigned_trials`.

    False if the plan has no such point.

    Raises:
        DamagedValueError: a stored value cannot be decoded.
    """
    point = point_of_trial(search.plan, trial)
    return point is not None and assigned_trials(search)[point].number == trial.number


def first_free_point(assigned: dict[int, FrozenTrial], num_points: int) -> int | None:
    """Return the lowest index of a point that no process has started; None if there is none.

    A point whose trial waits in the queue is free for any process.

    Args:
        assigned: the result of `assigned_trials`.
        num_points: number of points of the plan.
    """
    for point in range(num_points):
        if point not in assigned or assigned[point].state == TrialState.WAITING:
            return point
    return None


def release_dead_trials(study: Study) -> None:
    """Abandon running trials of dead processes (`is_dead`), so that their points are free again.

    Raises:
        DamagedValueError: a stored value cannot be decoded.
    """
    with report_damage():
        trials = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        dead = [trial for trial in trials if is_dead(trial)]
    for trial in dead:
        abandon_trial(study, trial.number)


def abandon_trial(study: Study, number: int) -> None:
    """Mark a trial as failed without a reason, so that its point is free again.

    A trial that is finished stays as it is.
    """
    study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def copy_duplicate(search: Search, trial: Trial) -> bool:
    """Finish a trial with the result of a complete point of equal settings, if there is one.

    A sampler may propose settings that it has proposed before.

    Returns:
        Whether there is such a point; if not, the trial is unchanged.

    Raises:
        DamagedValueError: a stored value cannot be decoded.
    """
    for other in finished_trials(search).values():
        if other.state == TrialState.COMPLETE and trial_settings(other) == trial_settings(trial):
            finish_trial(
                search.study,
                trial,
                TrialState.COMPLETE,
                value=other.value,
                notes={RUNS: other.user_attrs[RUNS]},
            )
            return True
    return False


def finish_trial(
    study: Study,
    trial: Trial,
    state: TrialState,
    *,
    value: float | None = None,
    notes: dict[str, Any] | None = None,
) -> None:
    """End a trial with its result; do nothing if another process has abandoned it meanwhile.

    Args:
        study: the study of the trial.
        trial: the trial.
        state: complete, pruned or failed.
        value: the value that ranks a complete trial; None for others.
        notes: user attributes to add first, such as `RUNS` or `REASON`.
    """
    try:
        for key, note in (notes or {}).items():
            trial.set_user_attr(key, note)
        study.tell(trial, value, state, skip_if_finished=True)
    except UpdateFinishedTrialError:
        return
