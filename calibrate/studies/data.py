"""The results of a study on one cache, from which its answer is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from clip_cfr.calibrate.comparison.differences import TAIL, compare_lowest, lowest, make_units
from clip_cfr.calibrate.comparison.method_result import metric_of
from clip_cfr.calibrate.comparison.recommendation import Gain
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.metrics import worst


@dataclass(frozen=True)
class Measured:
    """The results of one point, over all seeds.

    Attributes:
        label: label of the point.
        correct: whether the head that each criterion selects is right about each test row.
        val: its accuracies on val of each seed by metric, by criterion, in [0, 1].
        set_groups: rows of each group in the calibration set of each seed; None without the set.
        seconds: wall-clock time in seconds.
        reason: why the point could not be fitted; None if it was.
    """

    label: str
    correct: Mapping[str, Bool[np.ndarray, "seeds rows"]]
    val: Mapping[str, Sequence[Mapping[str, float | None]]]
    set_groups: Int[np.ndarray, "seeds groups"] | None = None
    seconds: float = 0.0
    reason: str | None = None

    @property
    def set_size(self) -> float:
        """Rows in the calibration set, as mean over seeds."""
        return float(self.set_groups.sum(axis=1).mean())


@dataclass(frozen=True)
class StudyData:
    """The results of a study on one cache.

    Attributes:
        cache: path of the cache.
        points: the results by label, in the order of the study.
        selection: criterion that selects the reported heads.
        judged_by: metric that points are compared by on test: `worst-group`, or `worst-class` where
            attributes are not known.
        cells: the group of each test row, or its class where attributes are not known.
        subjects: the subject of each test row; None if rows are independent.
        minority: whether each group is a minority group, see `minority_groups`.
        train_groups: rows of each group in the training split.
    """

    cache: str
    points: Mapping[str, Measured]
    selection: str
    judged_by: str
    cells: Int[np.ndarray, " rows"]
    subjects: Int[np.ndarray, " rows"] | None
    minority: Bool[np.ndarray, " groups"]
    train_groups: Int[np.ndarray, " groups"]

    @property
    def has_groups(self) -> bool:
        """Whether attributes are known."""
        return self.judged_by == "worst-group"

    @property
    def measure(self) -> str:
        """The measure of all differences in words."""
        return f"test {self.judged_by} accuracy"

    def fitted(self, labels: Sequence[str] | None = None) -> list[str]:
        """Return those of the labels (by default all) whose points could be fitted."""
        known = self.points if labels is None else labels
        return [each for each in known if each in self.points and not self.points[each].reason]

    def require(self, *labels: str) -> None:
        """Raise CalibrationError with the reason if a point that an answer needs was not fitted."""
        for label in labels:
            if self.points[label].reason:
                raise CalibrationError(f"{label}: {self.points[label].reason}")

    def correct(self, label: str, selection: str | None = None) -> Bool[np.ndarray, "seeds rows"]:
        """Return whether a point is right about each test row.

        Args:
            label: the point.
            selection: criterion that selects its heads; None for the reported one. So in the other
                methods.
        """
        return self.points[label].correct[selection or self.selection]

    def accuracy(self, label: str, selection: str | None = None) -> float:
        """Return the lowest accuracy over cells on test, each the mean over seeds, in [0, 1]."""
        return lowest(self.correct(label, selection), make_units(self.cells, None))

    def seed_accuracies(
        self, label: str, selection: str | None = None
    ) -> Float[np.ndarray, " seeds"]:
        """Return the lowest accuracy over cells on test of each seed, in [0, 1]."""
        cells, correct = int(self.cells.max()) + 1, self.correct(label, selection)
        return np.array([worst(each, self.cells, cells) for each in correct])

    def val_accuracy(self, label: str) -> float:
        """Return the mean over seeds of the validation accuracy by the reported criterion."""
        values = self.points[label].val[self.selection]
        return float(np.mean([each[metric_of(self.selection)] for each in values]))

    def choose_on_val(self, labels: Sequence[str]) -> str:
        """Return the label with the highest validation accuracy; of equal ones the first."""
        return max(labels, key=self.val_accuracy)

    def gain(self, first: str, second: str, share: int = 1) -> Gain:
        """Return how much better the first point is than the second on test.

        Args:
            first, second: labels of the points.
            share: number of differences that are stated together: their intervals hold at once.
        """
        difference = compare_lowest(
            self.correct(first), self.correct(second), self.cells, self.subjects
        )
        return Gain(difference.margin, *difference.interval(TAIL / share))

    def gains(
        self, labels: Sequence[str], reference: str, share: int | None = None
    ) -> dict[str, Gain]:
        """Return the gain of each label over a reference; by default they hold together."""
        return {each: self.gain(each, reference, share or len(labels)) for each in labels}

    def minority_share(self, label: str) -> float:
        """Return the share of minority groups in the calibration set, as mean over seeds."""
        groups = self.points[label].set_groups
        return float((groups[:, self.minority].sum(axis=1) / groups.sum(axis=1)).mean())

    @property
    def train_minority_share(self) -> float:
        """The share of minority groups in the training split."""
        return float(self.train_groups[self.minority].sum() / self.train_groups.sum())


def minority_groups(
    train_groups: Int[np.ndarray, " groups"], num_attributes: int
) -> Bool[np.ndarray, " groups"]:
    """Return whether each group has another attribute than most training rows of its class."""
    counts = train_groups.reshape(-1, num_attributes)
    majority = counts.argmax(axis=1)[:, None] == np.arange(num_attributes)
    return ~majority.ravel()
