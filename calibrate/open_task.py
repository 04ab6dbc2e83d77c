"""Open the task of a cache file: set up JAX, and load the features or leave them in the file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from clip_cfr.cache.class_prompts import list_prompt_sets, own_prompt_set, with_prompt_set
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.reader import open_cache
from clip_cfr.calibrate.class_prompts import (
    check_prompt_set,
    has_sentences_only,
)
from clip_cfr.calibrate.core.prepared import Prepared, prepare
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.drawn_val import DrawnVal, draw_val
from clip_cfr.calibrate.progress import LineReporter, ProgressReporter
from clip_cfr.calibrate.runtime import jax_setup
from clip_cfr.calibrate.runtime.resident_rows import choose_resident_rows

SENTENCES_ONLY = (
    "its class prompts are complete sentences, which are the same in all sets: --prompts changes "
    "nothing"
)


@dataclass(frozen=True)
class OpenTask:
    """The task of an open cache.

    Attributes:
        cache: the cache, with the prompts used; its features are in memory, or still in the file.
        task: the arrays of the cache, checked for training.
        resident_rows: rows of features in memory at a time; None for all.
        drawn_val: how val was drawn from the training rows; None if it was not.
        prompt_set: name of the set of class prompts that makes the class embeddings; None if it is
            not known.
    """

    cache: FeatureCache
    task: Task
    resident_rows: int | None
    drawn_val: DrawnVal | None = None
    prompt_set: str | None = None


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
    prompts: str | None = None,
) -> Iterator[OpenTask]:
    """Yield the task of a cache, which is valid in the block only.

    Args:
        path: the cache file.
        hold_rows: rows of features in memory at a time; by default all if they fit in half of the
            memory. If it is less than all rows, features stay in the file.
        reporter: gets messages about a drawn val and about features that stay in the file.
        val_fraction: fraction of the training rows to draw as val from a cache that has none; None
            draws none.
        prompts: the set of class prompts, one of `PROMPT_SETS`, that makes the class embeddings;
            None for those of the cache.

    Raises:
        CacheError: the cache cannot be read, is damaged, or is a shard.
        CalibrationError: a split has no rows, training rows are of one class, val cannot be
            drawn, or the cache does not have the prompts.
    """
    with open_cache(path) as cache:
        check_prompt_set(path, prompts, list_prompt_sets(cache))
        if prompts is not None and has_sentences_only(cache):
            reporter.message(f"warning: {path}: {SENTENCES_ONLY}")
        prompt_set = prompts or own_prompt_set(cache)
        cache = with_prompt_set(cache, prompts)
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
        yield OpenTask(cache, Task.from_cache(cache), resident_rows, drawn_val, prompt_set)


@contextmanager
def load_prepared(
    path: Path,
    device: str,
    hold_rows: int | None,
    prompts: str | None = None,
    val_fraction: float | None = None,
    change_task: Callable[[Task], Task] | None = None,
) -> Iterator[Prepared]:
    """Set up JAX and yield the prepared task of a cache on a device; any process may call it.

    Messages are lines on standard error. The task is the result of `change_task`, if it is given.
    Other arguments and errors are those of `start_jax` and `open_task`.
    """
    reporter = LineReporter()
    start_jax(device, reporter)
    opening = open_task(path, hold_rows, reporter, val_fraction, prompts)
    with jax_setup.fixed_numerics(), opening as opened:
        task = opened.task if change_task is None else change_task(opened.task)
        yield prepare(task, opened.resident_rows)
