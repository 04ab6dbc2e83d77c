"""Open the task of a cache file: set up JAX, and load the features or leave them in the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.calibrate.core.prepared import Prepared, prepare
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.drawn_val import DrawnVal, draw_val
from clip_cfr.calibrate.progress import LineReporter, ProgressReporter
from clip_cfr.calibrate.runtime import jax_setup
from clip_cfr.calibrate.runtime.resident_rows import choose_resident_rows


@dataclass(frozen=True)
class OpenTask:
    """The task of an open cache.

    Attributes:
        cache: the cache; its features are in memory, or still in the file.
        task: the arrays of the cache, checked for training.
        resident_rows: rows of features in memory at a time; None for all.
        drawn_val: how val was drawn from the training rows; None if it was not.
    """

    cache: FeatureCache
    task: Task
    resident_rows: int | None
    drawn_val: DrawnVal | None = None


def start_jax(device: str, reporter: ProgressReporter) -> str:
    """Set up JAX for a device, report how stages will run, and return the platform.

    Args:
        device: `auto`, `cpu` or `gpu`.
        reporter: gets a message about the platform.

    Raises:
        CalibrationError: JAX has no such device.
    """
    platform = jax_setup.start(device)
    order = "one after the other" if platform == "cpu" else "at once as far as memory allows"
    reporter.message(f"on {platform}: stages of training run {order}")
    return platform


@contextmanager
def open_task(
    path: Path,
    hold_rows: int | None,
    reporter: ProgressReporter,
    val_fraction: float | None = None,
) -> Iterator[OpenTask]:
    """Yield the task of a cache, which is valid in the block only.

    Args:
        path: the cache file.
        hold_rows: rows of features in memory at a time; by default all if they fit in half of the
            memory. If it is less than all rows, features stay in the file.
        reporter: gets messages about a drawn val and about features that stay in the file.
        val_fraction: fraction of the training rows to draw as val from a cache that has none; None
            draws none.

    Raises:
        CacheError: the cache cannot be read, is damaged, or is a shard.
        CalibrationError: a split has no rows, training rows are of one class, or val cannot be
            drawn.
    """
    with open_cache(path) as cache:
        drawn_val = None
        if val_fraction is not None:
            rows, drawn_val = draw_val(cache.rows, cache.valid, val_fraction)
            cache = replace(cache, rows=rows)
            reporter.message(f"warning: {drawn_val.describe()}")
        shape, dtype = cache.features.shape, cache.features.dtype
        resident_rows = choose_resident_rows(hold_rows, shape, dtype)
        if resident_rows is None:
            cache = replace(cache, features=cache.features.read_all())
        else:
            reporter.message(
                f"{path}: {resident_rows} of {shape[0]} rows of features are in memory at a time"
            )
        yield OpenTask(cache, Task.from_cache(cache), resident_rows, drawn_val)


@contextmanager
def load_prepared(path: Path, device: str, hold_rows: int | None) -> Iterator[Prepared]:
    """Set up JAX and yield the prepared task of a cache on a device; any process may call it.

    Messages are lines on standard error. Arguments and errors are those of `start_jax` and
    `open_task`.
    """
    reporter = LineReporter()
    start_jax(device, reporter)
    with jax_setup.fixed_numerics(), open_task(path, hold_rows, reporter) as opened:
        yield prepare(opened.task, opened.resident_rows)
