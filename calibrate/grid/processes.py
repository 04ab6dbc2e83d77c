"""Worker processes that share the studies of a grid."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue

from clip_cfr.cache.files.descriptors import free_descriptors
from clip_cfr.cache.terminal import make_streams_safe
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.grid.grid_plan import GridPlan
from clip_cfr.calibrate.grid.progress import GridReporter
from clip_cfr.calibrate.grid.study import open_searches
from clip_cfr.calibrate.grid.worker import POLL_SECONDS, LoadTask, all_finished, run_worker

# Open files of this process: those that each worker needs, and those that something else may.
WORKER_DESCRIPTORS, RESERVED_DESCRIPTORS = 3, 10


def run_processes(
    plan: GridPlan,
    url: str,
    name: str,
    *,
    load: LoadTask,
    workers: int,
    reporter: GridReporter,
) -> None:
    """Fit the points of a grid in several processes, and report progress until all have ended.

    The processes are terminated if this one is interrupted.

    Args:
        plan: the plans of the grid.
        url: the storage.
        name: the name of the grid in the storage.
        load: opens the task; called once in every process.
        workers: number of processes.
        reporter: reports the finished points.

    Raises:
        CalibrationError: the limit of open files is too low, or all processes ended without an
            error before the last point was finished.
        Exception: the first error of a process, if all ended before the last point was finished.
    """
    check_open_files(workers)
    context = get_context("spawn")
    errors = context.Queue()
    arguments = (plan, url, name, load, errors)
    processes = [context.Process(target=run_process, args=arguments) for _ in range(workers)]
    with started(processes):
        while count_alive(processes):
            time.sleep(POLL_SECONDS)
            reporter.update()
    if all_finished(reporter.searches.all):
        return
    if not errors.empty():
        raise errors.get()
    codes = ", ".join(str(each.exitcode) for each in processes)
    raise CalibrationError(
        f"all worker processes ended before the last point (exit codes {codes}); finished points "
        "are kept, run the same command to resume"
    )


def check_open_files(workers: int) -> None:
    """Raise CalibrationError if the limit of open files is too low for the worker processes."""
    free, needed = free_descriptors(), RESERVED_DESCRIPTORS + WORKER_DESCRIPTORS * workers
    if free is not None and free < needed:
        raise CalibrationError(
            f"--workers {workers} needs {needed} more open files, and their limit leaves {free}; "
            "raise it, for example with `ulimit -n 1024`, or give fewer --workers"
        )


def count_alive(processes: Sequence[BaseProcess]) -> int:
    """Return the number of live processes; reap the others, so that none stays a zombie."""
    return sum([each.is_alive() for each in processes])


@contextmanager
def started(processes: Sequence[BaseProcess]) -> Iterator[None]:
    """Start processes that ignore Ctrl-C; after the block, terminate them and wait for them."""
    # The processes inherit this: on Ctrl-C only this process reports, and it ends the others.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for each in processes:
            each.start()
    finally:
        signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        for each in processes:
            each.terminate()
            each.join()


def run_process(plan: GridPlan, url: str, name: str, load: LoadTask, errors: Queue) -> None:
    """Run a worker process: fit points until all are finished.

    Args:
        plan: the plans of the grid.
        url: the storage.
        name: the name of the grid in the storage.
        load: opens the task.
        errors: queue to which an error is added before the process exits.

    Raises:
        SystemExit: with code 1 after an error.
    """
    make_streams_safe()
    try:
        with open_searches(url, name, plan) as searches:
            run_worker(searches.all, load, ignore_step)
    except Exception as error:
        errors.put(error)
        raise SystemExit(1) from error


def ignore_step(waiting: bool) -> None:
    """Do nothing: the parent process reports progress."""
