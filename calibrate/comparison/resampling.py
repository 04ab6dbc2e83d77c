"""Bootstrap over rows, or over subjects where rows are not independent."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

SAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Tally:
    """Right answers and rows of each group, of several classifiers, in one or many samples.

    Attributes:
        hits: right answers.
        counts: rows.
    """

    hits: Float[np.ndarray, "... classifiers groups"]
    counts: Float[np.ndarray, "... 1 groups"]

    def accuracies(self) -> Float[np.ndarray, "... classifiers groups"]:
        """Group accuracies; NaN for a group without rows."""
        with np.errstate(invalid="ignore"):
            return self.hits / self.counts

    def merged(self, cells: Int[np.ndarray, " groups"], num_cells: int) -> "Tally":
        """The tally of cells that each hold one or more groups."""
        members = np.eye(num_cells)[cells]
        return Tally(self.hits @ members, self.counts @ members)


def resample(
    rng: np.random.Generator,
    correct: Bool[np.ndarray, "classifiers rows"],
    groups: Int[np.ndarray, " rows"],
    subjects: Int[np.ndarray, " rows"] | None,
    num_groups: int,
) -> Tally:
    """Tallies of bootstrap samples, each of as many subjects (rows) as there are.

    Subjects with the same tally are exchangeable: one multinomial draw over the different tallies
    stands for drawing every subject, which makes it fast for any number of rows.
    """
    units = np.arange(len(groups)) if subjects is None else np.unique(subjects, return_inverse=1)[1]
    width = (len(correct) + 1) * num_groups
    tallies = np.zeros((units.max() + 1, width), np.int32)
    for number, answers in enumerate([*correct, np.ones(len(groups), bool)]):
        np.add.at(tallies, (units, number * num_groups + groups), answers)
    kinds, frequency = np.unique(tallies, axis=0, return_counts=True)
    draws = rng.multinomial(len(tallies), frequency / len(tallies), size=SAMPLES)
    sums = (draws @ kinds.astype(float)).reshape(SAMPLES, len(correct) + 1, num_groups)
    return Tally(sums[:, :-1], sums[:, -1:])


def interval(values: Float[np.ndarray, " samples"]) -> list[float]:
    """The percentile interval that holds `LEVEL` of the samples."""
    outside = (1 - LEVEL) / 2
    return [float(bound) for bound in np.nanquantile(values, [outside, 1 - outside])]


def worst(tally: Tally) -> Float[np.ndarray, "... classifiers"]:
    """Lowest accuracy over the groups with rows."""
    return np.nanmin(tally.accuracies(), axis=-1)


def criterion(
    name: str, tally: Tally, num_classes: int, num_attributes: int
) -> Float[np.ndarray, "... classifiers"]:
    """The value of a selection criterion; `last` counts as worst-class."""
    if name == "worst-group":
        return worst(tally)
    if name == "average":
        return worst(tally.merged(np.zeros(num_classes * num_attributes, int), 1))
    return worst(
        tally.merged(np.arange(num_classes * num_attributes) // num_attributes, num_classes)
    )
