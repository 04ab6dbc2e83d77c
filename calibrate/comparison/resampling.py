"""Bootstrap over rows, or over subjects if rows are not independent."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

SAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Tally:
    """Numbers of correct rows and of rows in each group, for several classifiers.

    Leading axes, if any, are bootstrap samples.

    Attributes:
        hits: number of correct rows of each classifier.
        counts: number of rows, the same for all classifiers.
    """

    hits: Float[np.ndarray, "... classifiers groups"]
    counts: Float[np.ndarray, "... 1 groups"]

    def accuracies(self) -> Float[np.ndarray, "... classifiers groups"]:
        """Return the accuracy in [0, 1] of each group; NaN for a group without rows."""
        with np.errstate(invalid="ignore"):
            return self.hits / self.counts

    def merged(self, cells: Int[np.ndarray, " groups"], num_cells: int) -> "Tally":
        """Return the tally summed over the groups of each cell, such as a class.

        Args:
            cells: index of the cell that each group belongs to.
            num_cells: number of cells, the last axis of the result.
        """
        members = np.eye(num_cells)[cells]
        return Tally(self.hits @ members, self.counts @ members)


def resample(
    rng: np.random.Generator,
    correct: Bool[np.ndarray, "classifiers rows"],
    groups: Int[np.ndarray, " rows"],
    subjects: Int[np.ndarray, " rows"] | None,
    num_groups: int,
) -> Tally:
    """Return the tallies of `SAMPLES` bootstrap samples of the subjects (rows without subjects).

    The shapes are `hits` (SAMPLES, classifiers, groups) and `counts` (SAMPLES, 1, groups).

    Subjects with equal tallies are exchangeable, so one multinomial draw over the distinct tallies
    replaces drawing every subject. This is fast for any number of rows.

    Args:
        rng: draws the samples.
        correct: whether each classifier is right about each row.
        groups: group of each row.
        subjects: subject of each row; None if rows are independent.
        num_groups: number of groups, also those without rows.
    """
    units = np.arange(len(groups)) if subjects is None else np.unique(subjects, return_inverse=1)[1]
    width = (len(correct) + 1) * num_groups
    tallies = np.zeros((units.max() + 1, width), np.int32)
    for index, answers in enumerate([*correct, np.ones(len(groups), bool)]):
        np.add.at(tallies, (units, index * num_groups + groups), answers)
    kinds, frequency = np.unique(tallies, axis=0, return_counts=True)
    draws = rng.multinomial(len(tallies), frequency / len(tallies), size=SAMPLES)
    sums = (draws @ kinds.astype(float)).reshape(SAMPLES, len(correct) + 1, num_groups)
    return Tally(sums[:, :-1], sums[:, -1:])


def interval(values: Float[np.ndarray, " samples"]) -> tuple[float, float]:
    """Return the central percentile interval that contains a fraction `LEVEL` of the samples.

    NaN is ignored.
    """
    outside = (1 - LEVEL) / 2
    low, high = np.nanquantile(values, [outside, 1 - outside])
    return float(low), float(high)


def worst(tally: Tally) -> Float[np.ndarray, "... classifiers"]:
    """Return the lowest accuracy over the groups with rows, for each sample and classifier."""
    return np.nanmin(tally.accuracies(), axis=-1)


def criterion(
    name: str, tally: Tally, num_classes: int, num_attributes: int
) -> Float[np.ndarray, "... classifiers"]:
    """Return the accuracy of a selection criterion, for each sample and classifier.

    Args:
        name: `worst-group`, `average`, `worst-class`, or `last`, judged by worst-class accuracy.
        tally: tally over the groups, whose index is `label * num_attributes + attribute`.
        num_classes: number of classes.
        num_attributes: number of attributes.
    """
    if name == "worst-group":
        return worst(tally)
    if name == "average":
        return worst(tally.merged(np.zeros(num_classes * num_attributes, int), 1))
    return worst(
        tally.merged(np.arange(num_classes * num_attributes) // num_attributes, num_classes)
    )
