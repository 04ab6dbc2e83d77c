"""Draws the rows of every step, before training: the compiled loop only reads them.

All draws come from a numpy generator on the host, so that their number may depend on the data
(how many rows the calibration set has) while the compiled program does not.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32

NONE = -1  # a slot that holds nothing


class Pool(NamedTuple):
    """Rows that a step projects once, and which of them each anchor uses.

    Attributes:
        rows: row numbers, for each step.
        slots: for each anchor the places of its rows in `rows`, -1 where it has fewer.
    """

    rows: Int32[np.ndarray, "steps pool"]
    slots: Int32[np.ndarray, "steps anchors chosen"]


def minibatches(
    rng: np.random.Generator, rows: Int[np.ndarray, " rows"], steps: int, size: int
) -> Int32[np.ndarray, "steps size"]:
    """Rows in shuffled order, each once before any again, cut into one batch a step."""
    passes = -(-steps * size // len(rows))
    order = rng.permuted(np.tile(rows, (passes, 1)), axis=1)
    return order.reshape(-1)[: steps * size].reshape(steps, size).astype(np.int32)


def balanced_rows(
    rng: np.random.Generator,
    rows: Int[np.ndarray, " rows"],
    labels: Int[np.ndarray, " n"],
    steps: int,
    size: int,
) -> tuple[Int32[np.ndarray, "steps size"], Int[np.ndarray, " size"]]:
    """Rows drawn for each step, balanced over the classes that occur, and the class of each place.

    The classes take turns, so that any few neighbouring places hold nearly equal shares of them.
    Within a class every row is drawn once before any is drawn again. With more classes than `size`
    there is one place for each class.
    """
    present = np.unique(labels[rows])
    size = max(size, len(present))
    place_classes = present[np.arange(size) % len(present)]
    drawn = np.empty((steps, size), np.int32)
    for each in present:
        places = np.flatnonzero(place_classes == each)
        members = rows[labels[rows] == each]
        if len(places):
            drawn[:, places] = minibatches(rng, members, steps, len(places))
    return drawn, place_classes


def window_slots(
    rng: np.random.Generator,
    anchor_labels: Int[np.ndarray, "steps anchors"],
    place_classes: Int[np.ndarray, " pool"],
    count: int,
    *,
    same_class: bool,
) -> Int32[np.ndarray, "steps anchors count"]:
    """For each anchor `count` different places of its own class, or of all others; -1 fills up.

    Different places hold different rows, unless a class has fewer rows than a pool has places.

    The order of a pool is random already, so a window at a random place of it is a random choice
    without repetition: one draw for an anchor instead of one for each row.
    """
    slots = np.full((*anchor_labels.shape, count), NONE, np.int32)
    for each in np.unique(anchor_labels):
        eligible = np.flatnonzero((place_classes == each) == same_class)
        anchors = anchor_labels == each
        width = min(count, len(eligible))
        if width:
            start = rng.integers(len(eligible), size=(np.count_nonzero(anchors), 1))
            chosen = eligible[(start + np.arange(width)) % len(eligible)]
            slots[anchors, :width] = chosen
    return slots


def random_negatives(
    rng: np.random.Generator,
    anchors: Int[np.ndarray, "steps anchors"],
    labels: Int[np.ndarray, " n"],
    train_rows: Int[np.ndarray, " rows"],
    pool_size: int,
    count: int,
) -> Pool:
    """Random negative sampling: a pool balanced over classes, and rows of other classes in it."""
    steps = len(anchors)
    rows, place_classes = balanced_rows(rng, train_rows, labels, steps, pool_size)
    slots = window_slots(rng, labels[anchors], place_classes, count, same_class=False)
    return Pool(rows, slots)


def random_positives(
    rng: np.random.Generator,
    anchors: Int[np.ndarray, "steps anchors"],
    labels: Int[np.ndarray, " n"],
    eligible_rows: Int[np.ndarray, " rows"],
    pool_size: int,
    count: int,
) -> Pool:
    """Random positive sampling: rows of the anchor's class out of a pool, never the anchor itself.

    Where the anchor itself comes up, its place stays empty.
    """
    steps = len(anchors)
    if not len(eligible_rows):
        return Pool(
            np.zeros((steps, 1), np.int32), np.full((*anchors.shape, count), NONE, np.int32)
        )
    rows, place_classes = balanced_rows(rng, eligible_rows, labels, steps, pool_size)
    slots = window_slots(rng, labels[anchors], place_classes, count, same_class=True)
    chosen = np.take_along_axis(rows[:, None, :], slots, axis=2)
    return Pool(rows, np.where(chosen == anchors[:, :, None], NONE, slots))


def pool_of(chosen: Int[np.ndarray, "steps anchors count"]) -> Pool:
    """The different rows among those chosen for each step's anchors; -1 stays -1.

    Pools are filled up to a multiple of 256 rows, so that few sizes, and compilations, occur.
    """
    uniques = [np.unique(step, return_inverse=True) for step in chosen]
    longest = max(len(rows) for rows, _ in uniques)
    size = -(-longest // 256) * 256
    rows = np.stack([np.resize(each, size) for each, _ in uniques])
    slots = np.stack([inverse.reshape(chosen.shape[1:]) for _, inverse in uniques])
    return Pool(np.maximum(rows, 0).astype(np.int32), np.where(chosen == NONE, NONE, slots))
