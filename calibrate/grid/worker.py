"""The loop of one process: takes points of a study, fits them, and tells what they came to."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from multiprocessing import parent_process

import numpy as np
from optuna import Study, Trial, TrialPruned
from optuna.trial import TrialState

from clip_cfr.calibrate.core.experiment import Experiment, Prepared
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.liveness import Heartbeat
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.points import STAGES_KEPT, Experiments, Fit, Measured, fit_points
from clip_cfr.calibrate.grid.pruning import watch
from clip_cfr.calibrate.grid.trials import (
    REASON,
    RUNS,
    copy_result,
    cut_short,
    finish,
    finished_trials,
    release_dead,
    take_trial,
)
from clip_cfr.calibrate.methods.together import stages_at_once

# Points that are taken at once where they are fitted together; more wait for the others' sake.
MOST_TOGETHER = 64
SECONDS_BETWEEN_LOOKS = 0.5

# Opens a block with the task, prepared: its features may stay in a file.
Load = Callable[[], AbstractContextManager[Prepared]]
Look = Callable[[bool], None]


def work(study: Study, plan: Plan, load: Load, look: Look) -> None:
    """Fits points until all are finished, here or elsewhere.

    Args:
        load: the task; asked for only where something is left to do.
        look: called whenever something may have changed, and told whether others are waited for.
    """
    if all_finished(study, plan):
        return
    with load() as prepared:
        fit_the_rest(study, plan, prepared, look)


def fit_the_rest(study: Study, plan: Plan, prepared: Prepared, look: Look) -> None:
    """Fits points until none is left, here or elsewhere."""
    together = points_at_once(plan, prepared)
    experiments = Experiments(prepared, max(STAGES_KEPT, len(plan.seeds) * together))
    while not (all_finished(study, plan) or orphaned()):
        release_dead(study)
        if trials := take_trials(study, plan, together):
            run_trials(study, plan, experiments, trials)
        else:  # Others run the last points; should they die, somebody has to do them.
            time.sleep(SECONDS_BETWEEN_LOOKS)
        look(not trials)


def all_finished(study: Study, plan: Plan) -> bool:
    """Whether there is nothing left to do."""
    return len(finished_trials(study)) >= plan.num_points


def orphaned() -> bool:
    """Whether the process that started this one is gone, and nobody waits for more."""
    parent = parent_process()
    return parent is not None and not parent.is_alive()


def points_at_once(plan: Plan, prepared: Prepared) -> int:
    """How many points to fit together: one where they follow each other, or may be stopped."""
    experiment = Experiment(prepared, plan.fixed, plan.seeds[0])
    return 1 if plan.prune else min(MOST_TOGETHER, stages_at_once(plan.method, experiment))


def take_trials(study: Study, plan: Plan, together: int) -> list[Trial]:
    """Up to as many trials as are fitted together."""
    trials = []
    while len(trials) < together and (trial := take_trial(study, plan)):
        trials.append(trial)
    return trials


def run_trials(study: Study, plan: Plan, experiments: Experiments, trials: Sequence[Trial]) -> None:
    """Fits trials together, seed after seed, and tells what they came to; all or nothing."""
    try:
        settings = {trial.number: settings_of(trial, plan) for trial in trials}
        new = [trial for trial in trials if not copy_result(study, trial)]
        with Heartbeat(trials):
            runs = fit_trials(plan, experiments, new, [settings[trial.number] for trial in new])
    except BaseException:
        for trial in trials:
            cut_short(study, trial.number)
        raise
    for trial, found in zip(new, runs, strict=True):
        tell(study, plan, trial, found)


def settings_of(trial: Trial, plan: Plan) -> Settings:
    """The settings of a trial."""
    return plan.settings({name: axis.suggest(trial, name) for name, axis in plan.space.items()})


def fit_trials(plan: Plan, experiments: Experiments, trials, settings):
    """What each trial measured with each seed; the reason last where it ended early."""
    runs: list[list[Measured | Exception]] = [[] for _ in trials]
    for seed in plan.seeds:
        alive = [i for i, found in enumerate(runs) if not ended(found)]
        fits = [Fit(settings[i], seed) for i in alive]
        if plan.prune and seed == plan.seeds[0]:
            fits = [
                replace(each, watch=watch(trials[i], plan.criterion, each.settings.steps))
                for i, each in zip(alive, fits, strict=True)
            ]
        for i, found in zip(alive, fit_points(experiments, plan.method, fits), strict=True):
            runs[i].append(found)
    return runs


def ended(runs: list[Measured | Exception]) -> bool:
    """Whether a trial came to an end before its last seed."""
    return bool(runs) and isinstance(runs[-1], Exception)


def tell(study: Study, plan: Plan, trial: Trial, runs: list[Measured | Exception]) -> None:
    """Ends a trial with its mean over seeds, or with the reason why there is none."""
    match runs[-1]:
        case TrialPruned() as reason:
            finish(study, trial, TrialState.PRUNED, None, **{REASON: str(reason)})
        case Exception() as reason:
            where = f"seed {plan.seeds[len(runs) - 1]}: " if len(plan.seeds) > 1 else ""
            finish(study, trial, TrialState.FAIL, None, **{REASON: where + described(reason)})
        case _:
            value = np.mean([each["val"][plan.metric] for each in runs])
            finish(study, trial, TrialState.COMPLETE, float(value), **{RUNS: runs})


def described(reason: Exception) -> str:
    """Why a fit came to nothing, in words."""
    return f"out of memory: {reason}" if isinstance(reason, MemoryError) else str(reason)
