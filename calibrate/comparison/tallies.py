"""Criteria of several classifiers, from their correct predictions in each group."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Tally:
    """Numbers of correct rows and of rows in each group, for several classifiers.

    Attributes:
        hits: number of correct rows of each classifier.
        counts: number of rows, the same for all classifiers.
    """

    hits: Float[np.ndarray, "classifiers groups"]
    counts: Float[np.ndarray, "1 groups"]

    def accuracies(self) -> Float[np.ndarray, "classifiers groups"]:
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


def worst(tally: Tally) -> Float[np.ndarray, " classifiers"]:
    """Return the lowest accuracy over the groups with rows, for each classifier."""
    return np.nanmin(tally.accuracies(), axis=-1)


def criterion(
    name: str, tally: Tally, num_classes: int, num_attributes: int
) -> Float[np.ndarray, " classifiers"]:
    """Return the accuracy of a selection criterion, for each classifier.

    Args:
        name: `worst-group`, `average`, `worst-class`, or `last` and others, judged by
            worst-class accuracy.
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
