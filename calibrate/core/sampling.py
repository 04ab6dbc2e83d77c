"""Row indices of every step, drawn before training; the compiled loop only reads them.

A NumPy generator draws on the host. The number of draws may then depend on the data (the size of
the calibration set) while the compiled program does not.
"""

from math import gcd
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int32

EMPTY = -1  # an index that refers to no row
MIN_BLOCK_ROWS = 32  # products of smaller blocks cost more than they save
POOL_MULTIPLE = 256


class Pool(NamedTuple):
    """Rows that each step projects once, and the rows among them that each anchor uses.

    Inside a step, both arrays lack the axis of steps.

    Pool and anchors of a step are split into equally many blocks. Anchors use rows of their own
    block only, so that products with the rows of other blocks are not computed.

    Attributes:
        rows: row indices of each step, by block.
        indices: for each anchor, indices into the rows of its block; -1 is empty. None if each step
            chooses among the rows by itself.
    """

    rows: Int32[np.ndarray, "steps blocks block_rows"]
    indices: Int32[np.ndarray, "steps blocks block_anchors chosen"] | None


def draw_minibatches(
    rng: np.random.Generator, rows: Int[np.ndarray, " rows"], steps: int, size: int
) -> Int32[np.ndarray, "steps size"]:
    """Draw one minibatch of `size` rows for each step from shuffled passes over the rows.

    Minibatches are cut from the passes one after the other, so that each row occurs once in a pass.
    A minibatch holds a row twice only if it spans two passes, or if `rows` repeats the row.

    Args:
        rows: row indices, at least one; a repeated one occurs as often in a pass.
    """
    passes = -(-steps * size // len(rows))
    order = rng.permuted(np.tile(rows, (passes, 1)), axis=1)
    return order.reshape(-1)[: steps * size].reshape(steps, size).astype(np.int32)


def draw_balanced_rows(
    rng: np.random.Generator,
    rows: Int[np.ndarray, " rows"],
    labels: Int[np.ndarray, " n"],
    steps: int,
    size: int,
) -> tuple[Int32[np.ndarray, "steps size"], Int[np.ndarray, " size"]]:
    """Draw rows for each step, balanced over the classes that occur.

    Classes alternate, so that any few neighbouring columns hold nearly equal shares of them. Each
    class is drawn in shuffled passes over its rows. If there are more classes than `size`, one
    column is drawn for each class.

    Args:
        rows: row indices to draw from, at least one.
        labels: class of each row, by row index.

    Returns:
        The row indices, and the class of each column, the same in all steps.
    """
    present = np.unique(labels[rows])
    size = max(size, len(present))
    column_classes = present[np.arange(size) % len(present)]
    drawn = np.empty((steps, size), np.int32)
    for each in present:
        columns = np.flatnonzero(column_classes == each)
        members = rows[labels[rows] == each]
        if len(columns):
            drawn[:, columns] = draw_minibatches(rng, members, steps, len(columns))
    return drawn, column_classes


def draw_indices(
    rng: np.random.Generator,
    anchor_labels: Int[np.ndarray, "steps anchors"],
    pool_classes: Int[np.ndarray, " pool"],
    count: int,
    *,
    same_class: bool,
) -> Int32[np.ndarray, "steps anchors count"]:
    """Draw up to `count` distinct pool indices for each anchor, padded by -1.

    Distinct indices refer to distinct rows, unless a class has fewer rows than its pool columns.

    A pool is in random order already. A window at a random position is therefore a random choice
    without replacement, at one draw for an anchor instead of `count`.

    Args:
        anchor_labels: class of each anchor.
        pool_classes: class of each column of the pool, the same in all steps.
        same_class: whether to draw columns of the anchor's own class, or of all other classes.
    """
    indices = np.full((*anchor_labels.shape, count), EMPTY, np.int32)
    for each in np.unique(anchor_labels):
        eligible = np.flatnonzero((pool_classes == each) == same_class)
        anchors = anchor_labels == each
        width = min(count, len(eligible))
        if width:
            start = rng.integers(len(eligible), size=(np.count_nonzero(anchors), 1))
            chosen = eligible[(start + np.arange(width)) % len(eligible)]
            indices[anchors, :width] = chosen
    return indices


def draw_block_indices(
    rng: np.random.Generator,
    anchor_labels: Int[np.ndarray, "steps anchors"],
    pool_classes: Int[np.ndarray, " pool"],
    count: int,
    *,
    same_class: bool,
) -> Int32[np.ndarray, "steps blocks block_anchors count"]:
    """Draw indices as `draw_indices` does, in each of `count_blocks` blocks of pool and anchors.

    Blocks are neighbouring columns and neighbouring anchors. Indices count within the block.
    """
    blocks = count_blocks(pool_classes, anchor_labels.shape[1], count, same_class=same_class)
    classes = np.split(pool_classes, blocks)
    labels = np.split(anchor_labels, blocks, axis=1)
    indices = [
        draw_indices(rng, *each, count, same_class=same_class)
        for each in zip(labels, classes, strict=True)
    ]
    return np.stack(indices, axis=1)


def count_blocks(
    pool_classes: Int[np.ndarray, " pool"], anchors: int, count: int, *, same_class: bool
) -> int:
    """Return the largest number of blocks in each of which every class has `count` eligible rows.

    Eligible rows of a class are those of the class with `same_class`, else those of all others. The
    number divides both the pool and the anchors, and blocks have at least `MIN_BLOCK_ROWS` rows of
    the pool. If no number above 1 is possible, it is 1.

    Args:
        pool_classes: class of each column of the pool.
        anchors: number of anchors in a step.
    """
    size, classes = len(pool_classes), np.unique(pool_classes)
    common = gcd(size, anchors)
    for blocks in range(size // MIN_BLOCK_ROWS, 1, -1):
        if common % blocks:
            continue
        members = pool_classes.reshape(blocks, -1)[..., None] == classes
        if ((members == same_class).sum(axis=1) >= count).all():
            return blocks
    return 1


def draw_random_negatives(
    rng: np.random.Generator,
    anchors: Int[np.ndarray, "steps anchors"],
    labels: Int[np.ndarray, " n"],
    train_rows: Int[np.ndarray, " rows"],
    pool_size: int,
    count: int,
) -> Pool:
    """Draw class-balanced pools and, for each anchor, `count` rows of other classes in them.

    An anchor gets fewer, padded by -1, if the pool has fewer.

    Args:
        anchors: row indices of the anchors.
        labels: class of each row, by row index.
        train_rows: row indices to draw from.
        pool_size: rows of each pool; raised to the number of classes.
    """
    steps = len(anchors)
    rows, pool_classes = draw_balanced_rows(rng, train_rows, labels, steps, pool_size)
    indices = draw_block_indices(rng, labels[anchors], pool_classes, count, same_class=False)
    return Pool(rows.reshape(steps, indices.shape[1], -1), indices)


def draw_missing_negatives(
    rng: np.random.Generator,
    anchors: Int[np.ndarray, "steps anchors"],
    training: Int[np.ndarray, "steps batch"],
    labels: Int[np.ndarray, " n"],
    train_rows: Int[np.ndarray, " rows"],
    count: int,
) -> Pool | None:
    """Draw pools that hold `count` rows of other classes for each class.

    They serve anchors whose training minibatch has fewer than `count` rows of other classes, as
    with a class that has nearly all rows. None if there is no such anchor.

    Args:
        anchors, training: row indices of the anchors and of the training minibatches.
        labels: class of each row, by row index.
        train_rows: row indices to draw from.

    Returns:
        A pool of one block whose `indices` are None: each step masks by class.
    """
    if not lacks_negatives(labels[anchors], labels[training], count):
        return None
    classes = len(np.unique(labels[train_rows]))
    size = -(-count * classes // max(classes - 1, 1))
    rows, _ = draw_balanced_rows(rng, train_rows, labels, len(anchors), size)
    return Pool(rows[:, None], None)


def lacks_negatives(
    anchor_labels: Int[np.ndarray, "steps anchors"],
    batch_labels: Int[np.ndarray, "steps batch"],
    count: int,
) -> bool:
    """Return whether, in any step, an anchor has fewer than `count` rows of other classes.

    Args:
        anchor_labels: class of each anchor.
        batch_labels: class of each row of the training minibatches.
    """
    for each in np.unique(anchor_labels):
        others = (batch_labels != each).sum(axis=1)
        if ((anchor_labels == each).any(axis=1) & (others < count)).any():
            return True
    return False


def draw_random_positives(
    rng: np.random.Generator,
    anchors: Int[np.ndarray, "steps anchors"],
    labels: Int[np.ndarray, " n"],
    eligible_rows: Int[np.ndarray, " rows"],
    pool_size: int,
    count: int,
) -> Pool:
    """Draw class-balanced pools and, for each anchor, `count` rows of its class in them.

    An index that refers to the anchor itself is replaced by -1, and an anchor gets fewer rows,
    padded by -1, if the pool has fewer. Without eligible rows, all indices are -1.

    Args:
        anchors: row indices of the anchors.
        labels: class of each row, by row index.
        eligible_rows: row indices to draw from; may be empty.
        pool_size: rows of each pool; raised to the number of classes.
    """
    steps = len(anchors)
    if not len(eligible_rows):
        indices = np.full((steps, 1, anchors.shape[1], count), EMPTY, np.int32)
        return Pool(np.zeros((steps, 1, 1), np.int32), indices)
    rows, pool_classes = draw_balanced_rows(rng, eligible_rows, labels, steps, pool_size)
    indices = draw_block_indices(rng, labels[anchors], pool_classes, count, same_class=True)
    rows = rows.reshape(steps, indices.shape[1], -1)
    chosen = np.take_along_axis(rows[:, :, None], indices, axis=3)
    itself = chosen == anchors.reshape(indices.shape[:3])[..., None]
    return Pool(rows, np.where(itself, EMPTY, indices))


def draw_missing_positives(
    rng: np.random.Generator,
    anchors: Int[np.ndarray, "steps anchors"],
    training: Int[np.ndarray, "steps batch"],
    labels: Int[np.ndarray, " n"],
    eligible: Bool[np.ndarray, " n"],
    train_rows: Int[np.ndarray, " rows"],
    count: int,
) -> Pool | None:
    """Draw pools of random positives for steps in which an anchor has none in the minibatch.

    None if there is no such anchor. The size of a pool is `count` rows of each class.

    Args:
        anchors, training: row indices of the anchors and of the training minibatches.
        labels: class of each row, by row index.
        eligible: whether each row may be a positive, by row index.
        train_rows: row indices to draw from.
        count: positives of an anchor that the pool serves.
    """
    if not lacks_positives(anchors, training, labels, eligible):
        return None
    rows = train_rows[eligible[train_rows]]
    size = count * len(np.unique(labels[train_rows]))
    return draw_random_positives(rng, anchors, labels, rows, size, count)


def lacks_positives(
    anchors: Int[np.ndarray, "steps anchors"],
    training: Int[np.ndarray, "steps batch"],
    labels: Int[np.ndarray, " n"],
    eligible: Bool[np.ndarray, " n"],
) -> bool:
    """Return whether, in any step, an anchor has no other eligible row of its class."""
    for step, batch in zip(anchors, training, strict=True):
        rows = batch[eligible[batch]]
        same = labels[step][:, None] == labels[rows][None, :]
        if not (same & (step[:, None] != rows[None, :])).any(axis=1).all():
            return True
    return False


def pool_chosen_rows(chosen: Int[np.ndarray, "steps anchors count"]) -> Pool:
    """Pool the distinct rows chosen for the anchors of each step, in one block; -1 stays -1.

    Pools are padded with repeated rows to a multiple of 256 rows, so that few shapes, and
    compilations, occur.

    Args:
        chosen: row indices chosen for each anchor; -1 is empty.
    """
    uniques = [np.unique(step, return_inverse=True) for step in chosen]
    longest = max(len(rows) for rows, _ in uniques)
    size = -(-longest // POOL_MULTIPLE) * POOL_MULTIPLE
    rows = np.stack([np.resize(each, size) for each, _ in uniques])
    indices = np.stack([inverse.reshape(chosen.shape[1:]) for _, inverse in uniques])
    indices = np.where(chosen == EMPTY, EMPTY, indices)
    return Pool(np.maximum(rows, 0).astype(np.int32)[:, None], indices[:, None])
