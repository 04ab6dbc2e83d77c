"""Confidence interval of the lowest accuracy over cells (classes or groups).

A percentile bootstrap of a minimum does not hold where cells tie: the lowest accuracy of a sample
is below the lowest true accuracy, and a bootstrap repeats that bias. The interval here goes from
the smallest lower bound at `TAIL` to the smallest upper bound at `TAIL` / cells:

    low  = min over cells of lower(TAIL)
    high = min over cells of upper(TAIL / number of cells with rows)

Let w be the cell whose true accuracy p(w) is the lowest. `low` exceeds p(w) only if the lower bound
of w itself does, which has probability `TAIL`, so this side needs no correction. `high` is below
p(w) only if the upper bound of some cell c is below p(w), and so below p(c); by the union bound
this has at most probability `TAIL`, even if cells depend on each other. Hence the interval contains
p(w) with probability 1 - 2 * `TAIL` or more, whichever cells tie.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.special import betaincinv, stdtrit

TAIL = 0.025


class Evidence(NamedTuple):
    """Accuracies of cells, and how much evidence there is for them.

    Attributes:
        accuracy: accuracy in [0, 1]; any number for a cell without rows.
        rows: number of rows.
        subjects: number of subjects; of rows if rows are independent.
        effective: number of independent rows that would give the same variance.
    """

    accuracy: Float[np.ndarray, "*samples cells"]
    rows: Shaped[np.ndarray, "*samples cells"]
    subjects: Shaped[np.ndarray, "*samples cells"]
    effective: Shaped[np.ndarray, "*samples cells"]


def independent_rows(
    hits: Shaped[np.ndarray, "*samples cells"], rows: Shaped[np.ndarray, "*samples cells"]
) -> Evidence:
    """Return the evidence of `hits` correct rows out of `rows` independent ones in each cell."""
    return Evidence(hits / np.maximum(rows, 1), rows, rows, rows)


def clustered_rows(
    hits: Shaped[np.ndarray, "*samples subjects cells"],
    rows: Shaped[np.ndarray, "*samples subjects cells"],
) -> Evidence:
    """Return the evidence of subjects whose rows are not independent.

    The effective number of rows is the number of rows over the design effect: the variance of the
    accuracy with subjects as units, over that with rows as units. One right and one wrong subject
    of mean size are added for this estimate, because few errors do not show how they cluster. The
    design effect is at least 1, and at most that of rows that are equal within a subject.

    Args:
        hits: number of correct rows of each subject in each cell.
        rows: number of its rows.

    References:
        Korn, Graubard 1998, Survey Methodology 24(2), for the effective number of rows.
    """
    total, subjects = rows.sum(axis=-2), (rows > 0).sum(axis=-2)
    count = np.maximum(total, 1)
    size = total / np.maximum(subjects, 1)
    augmented = np.maximum(total + 2 * size, 1)
    mean = (hits.sum(axis=-2) + size) / augmented
    residuals = hits - np.expand_dims(mean, -2) * rows
    squares = (residuals**2).sum(axis=-2) + size**2 * (mean**2 + (1 - mean) ** 2)
    variance = squares * subjects / np.maximum(subjects - 1, 1) / augmented**2
    by_row = np.maximum(mean * (1 - mean), 1e-12) / augmented
    most = np.maximum((rows**2).sum(axis=-2) / count, 1)
    effect = np.clip(variance / by_row, 1, most)
    return Evidence(hits.sum(axis=-2) / count, total, subjects, total / effect)


def tally_cells(
    correct: Bool[np.ndarray, " rows"],
    cells: Int[np.ndarray, " rows"],
    subjects: Int[np.ndarray, " rows"] | None,
    num_cells: int,
) -> Evidence:
    """Return the evidence of one classifier's predictions.

    Args:
        correct: whether each prediction is right.
        cells: index of the class or group of each row.
        subjects: the subject of each row; None if rows are independent.
        num_cells: number of cells, also those without rows.
    """
    if subjects is None:
        counts = np.bincount(cells, minlength=num_cells)
        return independent_rows(np.bincount(cells, weights=correct, minlength=num_cells), counts)
    units = np.unique(subjects, return_inverse=True)[1]
    hits, rows = np.zeros((2, units.max() + 1, num_cells))
    np.add.at(hits, (units, cells), correct)
    np.add.at(rows, (units, cells), 1)
    return clustered_rows(hits, rows)


def lowest_accuracy_interval(
    evidence: Evidence,
) -> tuple[Float[np.ndarray, "*samples"], Float[np.ndarray, "*samples"]]:
    """Return the 95 % interval of the lowest accuracy over the cells with rows; see the module.

    Args:
        evidence: accuracies of the cells, of which at least one has rows.

    Returns:
        Lower and upper end, in [0, 1].
    """
    present = evidence.rows > 0
    cells = present.sum(axis=-1, keepdims=True)
    low, high = lower_bound(evidence, TAIL), upper_bound(evidence, TAIL / cells)
    lowest, highest = (np.where(present, each, np.inf).min(axis=-1) for each in (low, high))
    return np.asarray(lowest), np.asarray(highest)


def lower_bound(evidence: Evidence, tail) -> Float[np.ndarray, "*samples cells"]:
    """Return the Clopper-Pearson bound that is above the true accuracy with probability `tail`.

    It is 0 for a cell without correct rows or without any rows.

    Args:
        evidence: accuracies of the cells.
        tail: probability, a scalar or an array that broadcasts to (*samples, cells).

    Returns:
        Lower bound of the accuracy of each cell, in [0, 1].
    """
    rows = effective_rows(evidence, tail)
    hits = evidence.accuracy * rows
    bound = betaincinv(np.maximum(hits, 1e-9), rows - hits + 1, tail)
    return np.where(hits > 0, bound, 0.0)


def upper_bound(evidence: Evidence, tail) -> Float[np.ndarray, "*samples cells"]:
    """Return the Clopper-Pearson bound that is below the true accuracy with probability `tail`.

    It is 1 for a cell without wrong rows or without any rows. Arguments and result are as for
    `lower_bound`.
    """
    return 1 - lower_bound(evidence._replace(accuracy=1 - evidence.accuracy), tail)


def effective_rows(evidence: Evidence, tail) -> Float[np.ndarray, "*samples cells"]:
    """Return the effective number of rows, less for few subjects; `tail` as for `lower_bound`.

    The factor is the squared ratio of the quantiles of Student's t for rows and for subjects (Korn
    and Graubard); it is 1 if every subject has one row.
    """
    by_row = stdtrit(np.maximum(evidence.rows - 1, 1), 1 - tail)
    by_subject = stdtrit(np.maximum(evidence.subjects - 1, 1), 1 - tail)
    return evidence.effective * (by_row / by_subject) ** 2
