"""From a cache file to a task and a comparison: what the commands call."""

from contextlib import contextmanager
from pathlib import Path

import click


@contextmanager
def task_in(path: Path, hold_rows: int | None):
    """A block with a cache, its task, and how many rows of features to hold in memory at a time.

    All are held where that is None; otherwise the features stay in the file.
    """
    from dataclasses import replace

    from clip_cfr.cache.read.reader import open_cache
    from clip_cfr.calibrate.core.task import Task
    from clip_cfr.calibrate.runtime.resident_rows import rows_to_hold

    with open_cache(path) as cache:
        shape, dtype = cache.features.shape, cache.features.dtype
        held = rows_to_hold(hold_rows, shape, dtype)
        if held is None:
            cache = replace(cache, features=cache.features.in_memory())
        else:
            click.echo(f"{path}: {held} of {shape[0]} rows are held in memory at a time", err=True)
        yield cache, Task.from_cache(cache), held


def start_jax(device: str) -> str:
    """The platform that JAX computes on, set up; says so, and what that means for the order."""
    from clip_cfr.calibrate.runtime import jax_setup

    platform = jax_setup.start(device)
    order = "one after the other" if platform == "cpu" else "at once as far as memory goes"
    click.echo(f"on {platform}: stages of training run {order}", err=True)
    return platform


@contextmanager
def load_prepared(path: Path, device: str, hold_rows: int | None):
    """A block with the task of a cache on a device; in any process, for JAX is set up here."""
    from clip_cfr.calibrate.core.experiment import prepare

    start_jax(device)
    with task_in(path, hold_rows) as (_, task, held):
        yield prepare(task, held)
