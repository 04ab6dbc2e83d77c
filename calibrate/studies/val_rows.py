"""Validation rows of a study: those of the cache, or some that share the training correlation."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from clip_cfr.calibrate.core.task import Task

OWN_VAL, TRAIN_CORRELATION = "own", "train-correlation"
DRAW_SEED = 0


def with_val(task: Task, val: str) -> Task:
    """Return a task with the validation rows that a point asks for.

    Args:
        task: the task.
        val: `own` returns the task; `train-correlation` keeps as many validation rows of each
            class as possible so that attributes are as frequent within it as in the training split.
            The rows to keep are drawn at random, always the same ones.
    """
    if val == OWN_VAL:
        return task
    kept = draw_groups(task, correlated_counts(task))
    dropped = np.setdiff1d(task.rows("val"), kept)
    valid = task.valid.copy()
    valid[dropped] = False
    return replace(task, valid=valid)


def correlated_counts(task: Task) -> Int[np.ndarray, " groups"]:
    """Return how many validation rows of each group to keep, see `with_val`.

    A group that occurs in both splits keeps at least one row, a class without training rows all.
    """
    shape = (task.num_classes, len(task.attribute_names))
    train, val = (task.group_counts(split).reshape(shape) for split in ("train", "val"))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(train > 0, val / train, np.inf).min(axis=1, keepdims=True)
    least = (train > 0) & (val > 0)
    known = train.any(axis=1, keepdims=True)
    counts = np.where(known, np.floor(np.where(known, scale, 0) * train + 1e-9), val)
    return np.maximum(counts, least).astype(int).ravel()


def draw_groups(task: Task, counts: Int[np.ndarray, " groups"]) -> Int[np.ndarray, " rows"]:
    """Return validation rows drawn at random, `counts` of each group."""
    rows = np.random.default_rng(DRAW_SEED).permutation(task.rows("val"))
    groups = task.groups[rows]
    return np.concatenate([rows[groups == group][:count] for group, count in enumerate(counts)])
