"""Runs a plan to its end: in this process, or in several that share the study."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

from optuna import Study
from optuna.trial import FrozenTrial

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.progress import Progress, progress_on_stderr
from clip_cfr.calibrate.grid.study import opened_study
from clip_cfr.calibrate.grid.trials import finished_trials, standing_trials
from clip_cfr.calibrate.grid.worker import SECONDS_BETWEEN_LOOKS, Load, all_finished, work


def run_grid(plan: Plan, url: str, name: str, load: Load, workers: int) -> dict[int, FrozenTrial]:
    """The trials of all points, by point, after those that were missing have been fitted.

    Args:
        url, name: the storage and the study in it.
        load: opens a block with the task; called once in every process that fits.
        workers: how many processes fit.

    Raises:
        CalibrationError: the study cannot be used, or no worker is left to finish it.
    """
    with opened_study(url, name, plan) as study:
        with progress_on_stderr(plan, finished_trials(study)) as progress:
            if workers == 1:
                work(study, plan, load, partial(show, study, progress))
            elif not all_finished(study, plan):
                watch_workers(study, plan, progress, (plan, url, name, load), workers)
        return standing_trials(study)


def show(study: Study, progress: Progress, waits: bool = False) -> None:
    """Shows what is finished by now, and that others are waited for."""
    progress.update(finished_trials(study))
    if waits:
        progress.wait()


def watch_workers(
    study: Study, plan: Plan, progress: Progress, arguments: tuple, workers: int
) -> None:
    """Starts processes and shows what they do, until they end."""
    context = get_context("spawn")
    errors = context.Queue()
    with started(
        [context.Process(target=work_alone, args=(*arguments, errors)) for _ in range(workers)]
    ) as processes:
        while any(each.is_alive() for each in processes):
            time.sleep(SECONDS_BETWEEN_LOOKS)
            show(study, progress)
    if all_finished(study, plan):
        return
    if not errors.empty():
        raise errors.get()
    codes = ", ".join(str(each.exitcode) for each in processes)
    raise CalibrationError(
        f"all worker processes ended before the last point (exit codes {codes}); what is finished "
        "is kept, and the same command goes on"
    )


@contextmanager
def started(processes: Sequence[BaseProcess]) -> Iterator[Sequence[BaseProcess]]:
    """A block in which processes run; whoever leaves it early ends them."""
    # They inherit this: on Ctrl-C it is this process that ends them, and says so once.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for each in processes:
            each.start()
    finally:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield processes
    finally:
        for each in processes:
            each.terminate()
            each.join()


def work_alone(plan: Plan, url: str, name: str, load: Load, errors) -> None:
    """What a worker process does: the same as one alone, and its error goes to who started it."""
    try:
        with opened_study(url, name, plan) as study:
            work(study, plan, load, lambda _: None)
    except Exception as error:
        errors.put(error)
        raise SystemExit(1) from error
