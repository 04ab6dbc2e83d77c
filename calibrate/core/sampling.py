"""Draws the rows of every step, before training: the compiled loop only reads them.

All draws come from a numpy generator on the host, so that their number may depend on the data
(how many rows the calibration set has) while the compiled program does not.
"""

from math import gcd
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int32

NONE = -1  # a slot that holds nothing
PART_ROWS = 32  # the products of smaller parts cost more than they save


class Pool(NamedTuple):
    """Rows that a step projects once, and which of them each anchor uses.

    A pool has parts, and as many parts have the anchors of a step, in their order: those of one
    use rows of the same one alone, so that no anchor is multiplied with the rows of another.

    Attributes:
        rows: row numbers, for each step.
        slots: for each anchor the places of its rows in its part, -1 where it has fewer. None
            where they are not known before the step.
    """

    rows: Int32[np.ndarray, "steps parts places"]
    slots: Int32[np.ndarray, "steps parts anchors chosen"] | None


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


def part_slots(
    rng: np.random.Generator,
    anchor_labels: Int[np.ndarray, "steps anchors"],
    place_classes: Int[np.ndarray, " pool"],
    count: int,
    *,
    same_class: bool,
) -> Int32[np.ndarray, "steps parts part_anchors count"]:
    """The slots of anchors in a pool that is cut into as many parts as `num_parts` says."""
    parts = num_parts(place_classes, anchor_labels.shape[1], count, same_class=same_class)
    places = np.split(place_classes, parts)
    labels = np.split(anchor_labels, parts, axis=1)
    slots = [
        window_slots(rng, *each, count, same_class=same_class)
        for each in zip(labels, places, strict=True)
    ]
    return np.stack(slots, axis=1)


def num_parts(
    place_classes: Int[np.ndarray, " pool"], anchors: int, count: int, *, same_class: bool
) -> int:
    """The most parts that leave each class `count` places in every part; 1 if the pool does not."""
    size, classes = len(place_classes), np.unique(place_classes)
    common = gcd(size, anchors)
    for parts in range(size // PART_ROWS, 1, -1):
        if common % parts:
            continue
        members = place_classes.reshape(parts, -1)[..., None] == classes
        if ((members == same_class).sum(axis=1) >= count).all():
            return parts
    return 1


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
    slots = part_slots(rng, labels[anchors], place_classes, count, same_class=False)
    return Pool(rows.reshape(steps, slots.shape[1], -1), slots)


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
        slots = np.full((steps, 1, anchors.shape[1], count), NONE, np.int32)
        return Pool(np.zeros((steps, 1, 1), np.int32), slots)
    rows, place_classes = balanced_rows(rng, eligible_rows, labels, steps, pool_size)
    slots = part_slots(rng, labels[anchors], place_classes, count, same_class=True)
    rows = rows.reshape(steps, slots.shape[1], -1)
    chosen = np.take_along_axis(rows[:, :, None], slots, axis=3)
    itself = chosen == anchors.reshape(slots.shape[:3])[..., None]
    return Pool(rows, np.where(itself, NONE, slots))


def pool_of(chosen: Int[np.ndarray, "steps anchors count"]) -> Pool:
    """The different rows among those chosen for each step's anchors, in one part; -1 stays -1.

    Pools are filled up to a multiple of 256 rows, so that few sizes, and compilations, occur.
    """
    uniques = [np.unique(step, return_inverse=True) for step in chosen]
    longest = max(len(rows) for rows, _ in uniques)
    size = -(-longest // 256) * 256
    rows = np.stack([np.resize(each, size) for each, _ in uniques])
    slots = np.stack([inverse.reshape(chosen.shape[1:]) for _, inverse in uniques])
    slots = np.where(chosen == NONE, NONE, slots)
    return Pool(np.maximum(rows, 0).astype(np.int32)[:, None], slots[:, None])
