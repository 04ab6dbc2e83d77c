"""Which rows are held in memory for which steps of a stage."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int, Int32, Shaped

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.task import RowSource, Task
from clip_cfr.calibrate.core.train import cut

# Rows that lie together are read together; blocks of them are shuffled over the split.
BLOCK = 512


@dataclass(frozen=True)
class Window:
    """The rows that are held for some steps of a stage.

    Attributes:
        rows: their numbers in the task, ascending; None where all are held.
        size: entries of every array over held rows; those beyond `rows` are zeros.
        train_rows, wrong: places among the held rows of training rows to draw from, and of rows of
            the calibration set.
        points: steps at which to evaluate; the window begins at the first of them.
        capacity: steps to draw rows for, as many in every window of a stage.
    """

    rows: Int[np.ndarray, " rows"] | None
    size: int
    train_rows: Int[np.ndarray, " train_rows"]
    wrong: Int[np.ndarray, " wrong"]
    points: Int[np.ndarray, " points"]
    capacity: int

    @property
    def steps(self) -> Int[np.ndarray, " capacity"]:
        """Numbers of the steps to draw for."""
        return self.points[0] + np.arange(self.capacity)

    def take(
        self, values: Shaped[np.ndarray, "n ..."] | RowSource
    ) -> Shaped[np.ndarray, "size ..."]:
        """The values of the held rows, out of those of all rows."""
        if self.rows is None:
            return values
        taken = np.zeros((self.size, *values.shape[1:]), values.dtype)
        taken[: len(self.rows)] = values[self.rows]
        return taken

    def places(self, rows: Int[np.ndarray, " some"]) -> Int[np.ndarray, " some"]:
        """Where rows of the task stand among the held ones, which they must be among."""
        return rows if self.rows is None else places_in(self.rows, rows)


def windows(
    rng: np.random.Generator,
    task: Task,
    held: int | None,
    points: Int[np.ndarray, " points"],
    batch_size: int,
    wrong: Int[np.ndarray, " wrong"],
) -> Iterator[Window]:
    """The windows of a stage; one that holds everything where `held` is None.

    Otherwise each holds the validation split, a part of the calibration set and blocks of training
    rows, for about as many steps as it takes to see each of these once.

    Args:
        points: steps at which the stage evaluates, from 0 to all.
        wrong: the calibration set, or nothing.

    Raises:
        CalibrationError: so few rows leave no room beside the validation split.
    """
    train, val = task.rows("train"), task.rows("val")
    if held is None:
        yield Window(None, len(task.labels), train, wrong, points, int(points[-1]))
        return
    room = held - len(val)
    if room < 4 * batch_size:
        raise CalibrationError(
            f"--hold-rows {held}: expected at least {len(val) + 4 * batch_size}, for the "
            f"{len(val)} rows of the validation split and four batches of training rows"
        )
    anchors = min(len(wrong), room // 4)
    steps, between = (room - anchors) / batch_size, points[-1] / (len(points) - 1)
    bounds = cut(points, max(1, round(steps / between)))
    capacity = max(int(each[-1] - each[0]) for each in bounds)
    draws = in_turn(rng, train, room - anchors, BLOCK), in_turn(rng, wrong, anchors, 1)
    for each, *parts in zip(bounds, *draws, strict=False):
        rows = np.unique(np.concatenate([val, *parts]))
        yield Window(rows, held, *(places_in(rows, part) for part in parts), each, capacity)


def places_in(
    held: Int[np.ndarray, " held"], rows: Int[np.ndarray, " some"]
) -> Int32[np.ndarray, " some"]:
    """Where rows stand among the held ones, which they must be among."""
    return np.searchsorted(held, rows).astype(np.int32)


def in_turn(
    rng: np.random.Generator, rows: Int[np.ndarray, " rows"], size: int, block: int
) -> Iterator[Int[np.ndarray, " some"]]:
    """Up to `size` different rows at a time, ascending, by blocks in shuffled order.

    Every row comes once before any comes again.
    """
    cuts = np.arange(0, len(rows) + block, block).clip(max=len(rows))
    blocks, waiting = [rows[a:b] for a, b in pairwise(cuts)], np.zeros(0, rows.dtype)
    while True:
        while len(waiting) < size:
            order = rng.permutation(len(blocks))
            waiting = np.concatenate([waiting, *(blocks[number] for number in order)])
        yield np.unique(waiting[:size])
        waiting = waiting[size:]
