"""Difference of the lowest accuracies of two methods over cells, with an interval that holds.

Cells are classes or groups, or one cell for average accuracy. Let p(a) and q(b) be the accuracies
of the first and the second method in the cells a and b. The difference of their minima is

    min p - min q = min over a of max over b of p(a) - q(b),

so it is above d if and only if for every a there is a b with p(a) - q(b) > d. With one-sided bounds
L(a, b) of p(a) - q(b), each wrong with probability `tail` / cells, a lower bound is therefore

    min over a of max over b of L(a, b).

It is above the difference only if, for the cell a where p is lowest, some L(a, b) is above
p(a) - q(b), which has at most probability `tail` by the union bound over b. No correction over a is
needed. A bootstrap of the minima would not hold where cells tie.

The bounds L(a, b) use Student's t on the difference of means, after one row that only the first
method gets right and one that only the second gets right were added to each cell. Up to the degrees
of freedom this is the interval of Agresti and Caffo for different cells, and that of Bonett and
Price for the same cell, where the methods' answers are paired. Subjects count as units if rows are
not independent, with one degree of freedom less than there are units in the smaller cell.

The accuracy of a cell is the mean over seeds. Several seeds add the variance between them, over
their number S, with S - 1 degrees of freedom by Satterthwaite's formula. An estimate from few seeds
is more often too low than too high; so that bounds hold, it is multiplied by 1 + 3 / (S - 1)^2, a
factor found by simulation. One seed says nothing about others: the interval is then that of these
heads.

References:
    Agresti, Caffo 2000, The American Statistician 54(4). Bonett, Price 2012, Journal of Educational
    and Behavioral Statistics 37(4). Satterthwaite 1946, Biometrics Bulletin 2(6).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.special import stdtr, stdtrit

from clip_cfr.calibrate.core.settings import WORST_NAMED_GROUP
from clip_cfr.calibrate.core.task import Task

TAIL = 0.025


@dataclass(frozen=True)
class Units:
    """The cells of rows and the independent units that rows belong to.

    Attributes:
        cells: cell of each row, numbered without gaps.
        units: unit of each row, numbered without gaps: its subject, or itself.
        counts: number of rows of each cell.
        num_units: number of units of each cell.
    """

    cells: Int[np.ndarray, " rows"]
    units: Int[np.ndarray, " rows"]
    counts: Float[np.ndarray, " cells"]
    num_units: Int[np.ndarray, " cells"]


def make_units(cells: Int[np.ndarray, " rows"], subjects: Int[np.ndarray, " rows"] | None) -> Units:
    """Return the units of rows; cells without rows are left out.

    Args:
        cells: the class or group of each row.
        subjects: the subject of each row; None if rows are independent.
    """
    cells = np.unique(cells, return_inverse=True)[1]
    rows = np.arange(len(cells))
    units = rows if subjects is None else np.unique(subjects, return_inverse=True)[1]
    counts = np.bincount(cells).astype(float)
    pairs = np.unique(units * len(counts) + cells) % len(counts)
    return Units(cells, units, counts, np.bincount(pairs))


@dataclass(frozen=True)
class Difference:
    """Estimates of p(a) - q(b) for every pair of cells.

    Attributes:
        margin: difference of the lowest accuracies, without the added rows.
        centers: estimate for each cell of the first and of the second method.
        errors: its standard error.
        freedom: degrees of freedom of the error.
    """

    margin: float
    centers: Float[np.ndarray, "cells cells"]
    errors: Float[np.ndarray, "cells cells"]
    freedom: Float[np.ndarray, "cells cells"]

    def interval(self, tail: float = TAIL) -> tuple[float, float]:
        """Return bounds in [-1, 1] that are wrong with at most probability `tail` each."""
        reach = stdtrit(self.freedom, 1 - tail / len(self.centers)) * self.errors
        low = (self.centers - reach).max(axis=1).min()
        high = (self.centers + reach).min(axis=0).max()
        return max(float(low), -1.0), min(float(high), 1.0)

    def p_value(self) -> float:
        """Return the two-sided p-value of equal minima: twice the least `tail` that excludes 0."""
        above = stdtr(self.freedom, -self.centers / self.errors)
        below = stdtr(self.freedom, self.centers / self.errors)
        tails = above.min(axis=1).max(), below.min(axis=0).max()
        return float(min(1, 2 * len(self.centers) * min(tails)))


def compare_on(
    task: Task,
    rows: Int[np.ndarray, " rows"],
    first: Bool[np.ndarray, "seeds rows"],
    second: Bool[np.ndarray, "seeds rows"],
    criterion: str,
) -> Difference:
    """Compare two methods by a criterion on rows of a task, with its subjects as units.

    Args:
        task: the task.
        rows: row indices of the task.
        first, second: whether each method is right about each row, for each seed.
        criterion: `worst-class`, `worst-group`, `average`, or, with one named attribute,
            `worst-named-group`.
    """
    cells = {
        "average": lambda: np.zeros(len(rows), int),
        "worst-class": lambda: task.labels[rows],
        "worst-group": lambda: task.groups[rows],
        WORST_NAMED_GROUP: lambda: task.named_cells[rows, 0],
    }[criterion]()
    subjects = None if task.subjects is None else task.subjects[rows]
    return compare_lowest(first, second, cells, subjects)


def compare_lowest(
    first: Bool[np.ndarray, "seeds rows"],
    second: Bool[np.ndarray, "seeds rows"],
    cells: Int[np.ndarray, " rows"],
    subjects: Int[np.ndarray, " rows"] | None,
) -> Difference:
    """Compare the lowest accuracies of two methods on the same rows.

    Args:
        first: whether the first method is right about each row, for each seed.
        second: the same for the second method, with the same seeds.
        cells: the class or group of each row.
        subjects: the subject of each row; None if rows are independent.
    """
    units = make_units(cells, subjects)
    p, q = (accuracies(each, units) for each in (first, second))
    by_row, row_freedom = row_variance(first, second, units)
    by_seed, seed_freedom = seed_variance(p, q)
    variance = by_row + by_seed
    return Difference(
        margin=lowest(first, units) - lowest(second, units),
        centers=p.mean(axis=0)[:, None] - q.mean(axis=0),
        errors=np.sqrt(variance),
        freedom=combine_freedom(by_row, row_freedom, by_seed, seed_freedom),
    )


def combine_freedom(
    by_row: Float[np.ndarray, "cells cells"],
    row_freedom: Int[np.ndarray, "cells cells"],
    by_seed: Float[np.ndarray, "cells cells"],
    seed_freedom: int,
) -> Float[np.ndarray, "cells cells"]:
    """Return the degrees of freedom of the sum of two variances by Satterthwaite's formula."""
    share = 1 / (1 + by_seed / by_row)
    return 1 / (share**2 / row_freedom + (1 - share) ** 2 / seed_freedom)


def lowest(correct: Bool[np.ndarray, "seeds rows"], units: Units) -> float:
    """Return the lowest accuracy over cells, each the mean over seeds."""
    hits = np.bincount(units.cells, weights=correct.mean(axis=0))
    return float((hits / units.counts).min())


def accuracies(
    correct: Bool[np.ndarray, "seeds rows"], units: Units
) -> Float[np.ndarray, "seeds cells"]:
    """Return the accuracies of cells after a right and a wrong row were added to each."""
    hits = [np.bincount(units.cells, weights=each) for each in correct]
    return (np.stack(hits) + 1) / (units.counts + 2)


def row_variance(
    first: Bool[np.ndarray, "seeds rows"], second: Bool[np.ndarray, "seeds rows"], units: Units
) -> tuple[Float[np.ndarray, "cells cells"], Int[np.ndarray, "cells cells"]]:
    """Return the variance of p(a) - q(b) between units, with p and q as means over seeds.

    It is infinite if a cell has one unit. Also return its degrees of freedom: one less than the
    units of the cell with the fewer.
    """
    (a, added_a), (b, added_b) = (residuals(each, units) for each in (first, second))
    # The row that only the first method gets right, and the one that only the second does.
    paired = (a.T @ b).toarray() + np.diag((added_a * added_b[:, ::-1]).sum(axis=1))
    own = [
        moved.power(2).sum(axis=0) + (added**2).sum(axis=1)
        for moved, added in ((a, added_a), (b, added_b))
    ]
    variance = own[0][:, None] + own[1] - 2 * paired
    fewest = np.minimum(units.num_units[:, None], units.num_units)
    freedom = np.maximum(fewest - 1, 1)
    # One unit does not show how units vary.
    return np.where(fewest > 1, np.maximum(variance, 1e-12) * fewest / freedom, np.inf), freedom


def residuals(
    correct: Bool[np.ndarray, "seeds rows"], units: Units
) -> tuple[csr_array, Float[np.ndarray, "cells 2"]]:
    """Return how much each unit moves each cell's accuracy, and the same of the added two rows.

    The first is sparse, of shape (units, cells); the rows are the right and the wrong one.
    """
    means = accuracies(correct, units).mean(axis=0)
    total = units.counts + 2
    moved = (correct.mean(axis=0) - means[units.cells]) / total[units.cells]
    sums = csr_array((moved, (units.units, units.cells)))  # adds the rows of a unit in a cell
    return sums, np.stack([(1 - means) / total, -means / total], axis=1)


def seed_variance(
    p: Float[np.ndarray, "seeds cells"], q: Float[np.ndarray, "seeds cells"]
) -> tuple[Float[np.ndarray, "cells cells"], int]:
    """Return the variance of the mean over seeds of p(a) - q(b), and its degrees of freedom.

    The variance is zero with one seed.
    """
    seeds, cells = p.shape
    if seeds == 1:
        return np.zeros((cells, cells)), 1
    spread = (p[:, :, None] - q[:, None, :]).var(axis=0, ddof=1)
    return spread / seeds * (1 + 3 / (seeds - 1) ** 2), seeds - 1
