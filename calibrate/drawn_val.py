"""A validation split drawn from the training rows of a cache that has none."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from clip_cfr.cache.format.schema import Rows
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.task import SPLITS

TRAIN, VAL = SPLITS.index("train"), SPLITS.index("val")
# One draw for all seeds of training, so that they select on the same rows.
DRAW_SEED = 0


@dataclass(frozen=True)
class DrawnVal:
    """How a validation split was drawn.

    Attributes:
        fraction: requested fraction of the training rows.
        seed: seed of the draw.
        rows: number of rows that were drawn.
    """

    fraction: float
    seed: int
    rows: int

    def describe(self) -> str:
        """Return a warning with the number of rows drawn, the fraction and the seed."""
        return (
            f"the cache has no val: {self.rows:,} of its training rows are val here "
            f"(--val-fraction {self.fraction:g}, seed {self.seed}, by class), so training has "
            "fewer rows"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields in JSON types."""
        return asdict(self)


def draw_val(
    rows: Rows, valid: Bool[np.ndarray, " n"], fraction: float, seed: int = DRAW_SEED
) -> tuple[Rows, DrawnVal]:
    """Return rows in which a fraction of each class's training rows is val, and a summary.

    The argument is not changed, and only `splits` differs. Attributes take no part, so that
    selection stays free of them. Rows of one subject stay together. A class of one row, or one
    subject, stays in train.

    Args:
        rows: rows of a cache without val.
        valid: which rows are valid; only these are drawn.
        fraction: fraction of the training rows, between 0 and 1.
        seed: seed of the draw.

    Raises:
        CalibrationError: the fraction is not between 0 and 1, there is a val, or no class has two
            training rows, or subjects, to draw from.
    """
    if not 0 < fraction < 1:
        raise CalibrationError(f"--val-fraction is {fraction}, expected a number between 0 and 1")
    num_val = int((valid & (rows.splits == VAL)).sum())
    if num_val:
        raise CalibrationError(
            f"--val-fraction draws val where a cache has none, but this one has {num_val:,} rows "
            "in val; leave the option out"
        )
    train = np.flatnonzero(valid & (rows.splits == TRAIN))
    subjects = np.arange(len(train)) if rows.subjects is None else rows.subjects[train]
    drawn = train[draw_subjects(subjects, rows.labels[train], fraction, seed)]
    if not len(drawn):
        raise CalibrationError(
            f"--val-fraction: no class has two training rows, or subjects, to draw val from "
            f"({len(train)} training rows)"
        )
    splits = rows.splits.copy()
    splits[drawn] = VAL
    return replace(rows, splits=splits), DrawnVal(fraction, seed, len(drawn))


def draw_subjects(
    subjects: Int[np.ndarray, " rows"],
    labels: Int[np.ndarray, " rows"],
    fraction: float,
    seed: int,
) -> Bool[np.ndarray, " rows"]:
    """Return a mask of all rows of random subjects, about a fraction of the rows of each class.

    The class of a subject is that of its first row. Of a class with several subjects at least one
    is drawn and at least one is not; of a class with one subject none is drawn.
    """
    _, first, subject, sizes = np.unique(
        subjects, return_index=True, return_inverse=True, return_counts=True
    )
    # NumPy guarantees that the streams of RandomState never change; those of Generator may.
    rng = np.random.RandomState(seed)
    is_drawn = np.zeros(len(sizes), bool)
    for label in np.unique(labels[first]):
        members = rng.permutation(np.flatnonzero(labels[first] == label))
        middles = np.cumsum(sizes[members]) - sizes[members] / 2
        count = int((middles < fraction * sizes[members].sum()).sum())
        is_drawn[members[: min(max(1, count), len(members) - 1)]] = True
    return is_drawn[subject]
