"""The loop of one process: claim points, fit them, store their results."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import takewhile
from multiprocessing import parent_process

import numpy as np
from optuna import Trial, TrialPruned
from optuna.trial import TrialState

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import Prepared
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.liveness import Heartbeat
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.point_result import SeedResult
from clip_cfr.calibrate.grid.points import STAGES_KEPT, ExperimentCache, Fit, fit_points
from clip_cfr.calibrate.grid.pruning import PruningCallback
from clip_cfr.calibrate.grid.trials import (
    REASON,
    RUNS,
    SETTINGS,
    Search,
    abandon_trial,
    claim_trial,
    copy_duplicate,
    finish_trial,
    finished_trials,
    release_dead_trials,
)
from clip_cfr.calibrate.methods.batched import batch_size

# Points to claim at once where they are fitted together; the others are left to other processes.
MAX_TOGETHER = 64
POLL_SECONDS = 0.5

# Opens a block with the prepared task, whose features may stay in a file.
LoadTask = Callable[[], AbstractContextManager[Prepared]]
# Called after each step of the loop; the argument says whether it waits for other processes.
OnStep = Callable[[bool], None]


def run_worker(searches: Sequence[Search], load: LoadTask, on_step: OnStep) -> None:
    """Fit points until all are finished, here or in another process.

    Results are stored in the studies. It also returns if the parent process has ended.

    Args:
        searches: where to claim points, in this order.
        load: opens the task; called only if a point is left.
        on_step: called after each step of the loop; its argument says whether no point was free.

    Raises:
        CalibrationError: the task cannot be used, or the storage fails.
    """
    if all_finished(searches):
        return
    with load() as prepared:
        run_loop(searches, prepared, on_step)


def run_loop(searches: Sequence[Search], prepared: Prepared, on_step: OnStep) -> None:
    """Claim and fit points until all are finished or the parent process has ended.

    While other processes run the last points, it waits; if they die, it fits these, too.
    """
    batch_sizes = [points_at_once(each.plan, prepared) for each in searches]
    stages = max(
        len(each.plan.seeds) * size for each, size in zip(searches, batch_sizes, strict=True)
    )
    experiments = ExperimentCache(prepared, max(STAGES_KEPT, stages))
    while not (all_finished(searches) or is_orphan()):
        worked = run_next_batch(searches, batch_sizes, experiments)
        if not worked:  # Other processes run the last points, and may die.
            time.sleep(POLL_SECONDS)
        on_step(not worked)


def run_next_batch(
    searches: Sequence[Search], batch_sizes: Sequence[int], experiments: ExperimentCache
) -> bool:
    """Fit the next free points of the first search that has free ones, and store their results.

    Points of dead processes become free before.

    Args:
        searches: searches, in the order in which to claim points.
        batch_sizes: for each search, the maximum number of points to fit together.
        experiments: the task, and the shared stages of earlier points.

    Returns:
        Whether there was a free point.
    """
    for search, size in zip(searches, batch_sizes, strict=True):
        release_dead_trials(search.study)
        if trials := claim_trials(search, size):
            run_trials(search, experiments, trials)
            return True
    return False


def all_finished(searches: Sequence[Search]) -> bool:
    """Return whether every point of every search is finished: complete, pruned or failed."""
    return all(len(finished_trials(each)) >= each.plan.num_points for each in searches)


def is_orphan() -> bool:
    """Return whether `multiprocessing` started this process and its parent has ended."""
    parent = parent_process()
    return parent is not None and not parent.is_alive()


def points_at_once(plan: Plan, prepared: Prepared) -> int:
    """Return the number of points to fit together, at most `MAX_TOGETHER`.

    It is 1 on a CPU and with pruning.
    """
    experiment = Experiment(prepared, plan.fixed, plan.seeds[0])
    return 1 if plan.prune else min(MAX_TOGETHER, batch_size(plan.method, experiment))


def claim_trials(search: Search, count: int) -> list[Trial]:
    """Claim up to `count` trials for this process; fewer, or none, if no more points are free."""
    claims = (claim_trial(search) for _ in range(count))
    return list(takewhile(lambda trial: trial is not None, claims))


def run_trials(search: Search, experiments: ExperimentCache, trials: Sequence[Trial]) -> None:
    """Fit trials of this process together, and store their results.

    A trial with the settings of a complete point takes over its result. If fitting is interrupted
    or raises an exception, all trials are abandoned, so that their points are free again.
    """
    try:
        settings = {trial.number: settings_of(search.plan, trial) for trial in trials}
        new = [trial for trial in trials if not copy_duplicate(search, trial)]
        with Heartbeat(trials):
            runs = fit_trials(
                search.plan, experiments, new, [settings[trial.number] for trial in new]
            )
    except BaseException:
        for trial in trials:
            abandon_trial(search.study, trial.number)
        raise
    for trial, outcomes in zip(new, runs, strict=True):
        store_outcomes(search, trial, outcomes)


def settings_of(plan: Plan, trial: Trial) -> Settings:
    """Return the settings of a trial, the fixed ones included.

    Those of a full grid, and of a first point with the fixed settings, are stored in the trial.
    Otherwise the sampler proposes them, which adds parameters to the trial.
    """
    if SETTINGS in trial.user_attrs:
        return plan.settings_with(trial.user_attrs[SETTINGS])
    return plan.settings_with(
        {name: axis.suggest(trial, name) for name, axis in plan.space.items()}
    )


def fit_trials(
    plan: Plan,
    experiments: ExperimentCache,
    trials: Sequence[Trial],
    settings: Sequence[Settings],
) -> list[list[SeedResult | Exception]]:
    """Fit each trial with one seed after the other.

    Args:
        plan: the plan of the trials.
        experiments: the task, and the shared stages of earlier points.
        trials: the trials to fit.
        settings: the settings of each trial.

    Returns:
        For each trial its results in the order of the seeds. After a seed that ended in an error,
        the error is the last entry, and later seeds are not fitted.
    """
    runs: list[list[SeedResult | Exception]] = [[] for _ in trials]
    for seed in plan.seeds:
        active = [index for index, outcomes in enumerate(runs) if not has_ended(outcomes)]
        prune = plan.prune and seed == plan.seeds[0]
        fits = [
            make_fit(plan, settings[index], seed, trials[index] if prune else None)
            for index in active
        ]
        for index, outcome in zip(active, fit_points(experiments, plan.method, fits), strict=True):
            runs[index].append(outcome)
    return runs


def make_fit(plan: Plan, settings: Settings, seed: int, pruned_trial: Trial | None) -> Fit:
    """Return the fit of a point with one seed.

    Args:
        plan: the plan of the point.
        settings: the settings of the point.
        seed: the seed.
        pruned_trial: trial that the fit reports validation values to, and that may stop it early;
            None for a fit that is not pruned.
    """
    if pruned_trial is None:
        return Fit(settings, seed, has_details=plan.has_details)
    callback = PruningCallback(pruned_trial, plan.criterion, settings.steps)
    return Fit(settings, seed, callback, plan.has_details)


def has_ended(outcomes: Sequence[SeedResult | Exception]) -> bool:
    """Return whether the last entry of a trial's outcomes is an error; false without outcomes."""
    return bool(outcomes) and isinstance(outcomes[-1], Exception)


def store_outcomes(
    search: Search, trial: Trial, outcomes: Sequence[SeedResult | Exception]
) -> None:
    """Finish a trial as complete, pruned or failed.

    A complete trial stores its results, and as its value the mean over seeds of the validation
    metric. Another one stores the reason, with the seed in front if there are several.

    Args:
        search: the search of the trial.
        trial: the trial.
        outcomes: its results in the order of the seeds; an error may be the last one.
    """
    plan, study = search.plan, search.study
    match outcomes[-1]:
        case TrialPruned() as error:
            finish_trial(study, trial, TrialState.PRUNED, notes={REASON: str(error)})
        case Exception() as error:
            seed = plan.seeds[len(outcomes) - 1]
            prefix = f"seed {seed}: " if len(plan.seeds) > 1 else ""
            reason = prefix + describe_error(error)
            finish_trial(study, trial, TrialState.FAIL, notes={REASON: reason})
        case _:
            finish_trial(
                study,
                trial,
                TrialState.COMPLETE,
                value=float(np.mean([each.val[plan.metric] for each in outcomes])),
                notes={RUNS: [each.to_json() for each in outcomes]},
            )


def describe_error(error: Exception) -> str:
    """Return the message of an error that ended a fit; `out of memory: ...` for a MemoryError."""
    return f"out of memory: {error}" if isinstance(error, MemoryError) else str(error)
