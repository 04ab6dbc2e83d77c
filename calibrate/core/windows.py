"""Windows: which rows are resident in memory for which steps of a stage."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int, Int32, Shaped

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.row_source import RowSource
from clip_cfr.calibrate.core.segments import split_eval_steps
from clip_cfr.calibrate.core.task import Task

# Consecutive rows are fast to read together: training rows are shuffled in runs of this length.
RUN_ROWS = 512
# Batches of training rows that have to fit beside the validation split.
MIN_BATCHES = 4


@dataclass(frozen=True)
class Window:
    """The resident rows of some steps of a stage.

    Attributes:
        rows: row indices in the task, ascending; None if all rows are resident.
        size: rows of the resident arrays; those beyond `rows` are zeros.
        train_rows: indices, among the resident rows, of the training rows to draw from.
        calibration_rows: indices, among the resident rows, of rows of the calibration set.
        eval_steps: the step at which the window starts, then the steps after which to evaluate.
        capacity: steps to draw rows for; the same in all windows of a stage.
    """

    rows: Int[np.ndarray, " rows"] | None
    size: int
    train_rows: Int[np.ndarray, " train_rows"]
    calibration_rows: Int[np.ndarray, " calibration_rows"]
    eval_steps: Int[np.ndarray, " eval_steps"]
    capacity: int

    @property
    def steps(self) -> Int[np.ndarray, " capacity"]:
        """Indices, in the stage, of the steps to draw rows for; may go beyond the last one."""
        return self.eval_steps[0] + np.arange(self.capacity)

    def take(
        self, values: Shaped[np.ndarray, "n ..."] | RowSource
    ) -> Shaped[np.ndarray, "size ..."]:
        """Return the resident rows of an array over all rows of the task, padded by zeros.

        The result has `size` rows. If all rows are resident, it is `values` itself, not a copy.
        """
        if self.rows is None:
            return values
        resident = np.zeros((self.size, *values.shape[1:]), values.dtype)
        resident[: len(self.rows)] = values[self.rows]
        return resident

    def resident_indices(self, rows: Int[np.ndarray, " some"]) -> Int[np.ndarray, " some"]:
        """Convert indices of resident rows in the task to indices among the resident rows."""
        return rows if self.rows is None else find_indices(self.rows, rows)


def make_windows(
    rng: np.random.Generator,
    task: Task,
    resident_rows: int | None,
    eval_steps: Int[np.ndarray, " eval_steps"],
    batch_size: int,
    calibration_rows: Int[np.ndarray, " calibration_rows"],
) -> Iterator[Window]:
    """Yield the windows of a stage; a single one of all rows if `resident_rows` is None.

    Each window holds the validation split, rows of the calibration set (all, if they fit in a
    quarter of the remaining room) and runs of training rows. It lasts for about as many steps as
    use each of its training rows once.

    Args:
        rng: shuffles the rows over the windows.
        resident_rows: rows to keep in memory at a time; None for all.
        eval_steps: 0, then the steps after which the stage evaluates.
        batch_size: training rows per step.
        calibration_rows: row indices of the calibration set in the task; may be empty.

    Raises:
        SettingsError: `resident_rows` is too small.
    """
    train, val = task.rows("train"), task.rows("val")
    if resident_rows is None:
        steps = int(eval_steps[-1])
        yield Window(None, len(task.labels), train, calibration_rows, eval_steps, steps)
        return
    check_resident_rows(len(task.rows("val")), resident_rows, batch_size)
    anchors = min(len(calibration_rows), (resident_rows - len(val)) // 4)
    room = resident_rows - len(val) - anchors
    parts = split_by_room(eval_steps, room, batch_size)
    capacity = max_steps(parts)
    draws = cycle_rows(rng, train, room, RUN_ROWS), cycle_rows(rng, calibration_rows, anchors, 1)
    for part, *drawn in zip(parts, *draws, strict=False):
        rows = np.unique(np.concatenate([val, *drawn]))
        indices = (find_indices(rows, each) for each in drawn)
        yield Window(rows, resident_rows, *indices, part, capacity)


def check_resident_rows(val_rows: int, resident_rows: int | None, batch_size: int) -> None:
    """Raise SettingsError if the rows of the validation split and four batches do not fit.

    Args:
        val_rows: number of rows of the validation split.
        resident_rows: rows to keep in memory at a time; None, for all, always passes.
        batch_size: training rows per step.
    """
    least = val_rows + MIN_BATCHES * batch_size
    if resident_rows is not None and resident_rows < least:
        raise SettingsError(
            f"--hold-rows {resident_rows}: expected at least {least}, for the {val_rows} rows of "
            "the validation split and four batches of training rows"
        )


def window_steps(
    task: Task, resident_rows: int | None, steps: int, evaluations: int, batch_size: int
) -> int:
    """Estimate the steps of a window, whose rows are drawn together, before the windows are made.

    Args:
        resident_rows: rows to keep in memory at a time; None for all, which gives `steps`.
        steps, evaluations: steps and evaluations of the stage.
        batch_size: training rows per step.
    """
    if resident_rows is None:
        return steps
    room, evaluations = resident_rows - len(task.rows("val")), min(steps, evaluations)
    per_window = evaluations_per_window(steps, evaluations, room, batch_size)
    return min(steps, int(per_window * steps / evaluations))


def evaluations_per_window(steps: int, evaluations: int, room: int, batch_size: int) -> int:
    """Return the evaluations, at least 1, of a window that uses `room` training rows about once.

    Args:
        steps, evaluations: steps and evaluations of the stage.
        room: training rows of a window.
        batch_size: training rows per step.
    """
    return max(1, round(room / batch_size / (steps / evaluations)))


def split_by_room(
    eval_steps: Int[np.ndarray, " eval_steps"], room: int, batch_size: int
) -> list[Int[np.ndarray, " _"]]:
    """Split evaluation steps into parts that use each of `room` training rows about once.

    Each part starts with the step at which the part before it ends; see `split_eval_steps`.
    """
    steps, evaluations = int(eval_steps[-1]), len(eval_steps) - 1
    per_window = evaluations_per_window(steps, evaluations, room, batch_size)
    return split_eval_steps(eval_steps, per_window)


def max_steps(parts: list[Int[np.ndarray, " _"]]) -> int:
    """Return the number of steps of the longest part of a stage."""
    return max(int(part[-1] - part[0]) for part in parts)


def find_indices(
    resident: Int[np.ndarray, " resident"], rows: Int[np.ndarray, " some"]
) -> Int32[np.ndarray, " some"]:
    """Return the index of each row among the resident rows, which ascend and must contain it."""
    return np.searchsorted(resident, rows).astype(np.int32)


def cycle_rows(
    rng: np.random.Generator, rows: Int[np.ndarray, " rows"], size: int, run_rows: int
) -> Iterator[Int[np.ndarray, " some"]]:
    """Yield up to `size` entries of `rows` at a time from shuffled passes; never ends.

    `rows` ascends, and so does each yield. A pass shuffles runs of `run_rows` consecutive entries.
    Fewer than `size` are yielded if an entry occurs twice among them, in two passes; a row that
    `rows` repeats has several entries. `rows` may be empty only if `size` is 0.
    """
    bounds = np.arange(0, len(rows) + run_rows, run_rows).clip(max=len(rows))
    entries, queue = np.arange(len(rows)), np.zeros(0, int)
    runs = [entries[start:stop] for start, stop in pairwise(bounds)]
    while True:
        while len(queue) < size:
            order = rng.permutation(len(runs))
            queue = np.concatenate([queue, *(runs[index] for index in order)])
        yield rows[np.unique(queue[:size])]
        queue = queue[size:]
