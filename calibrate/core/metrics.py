"""Accuracy over rows, classes and groups; expected calibration error; AUROC."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from clip_cfr.calibrate.core.inferred_groups import criterion_value
from clip_cfr.calibrate.core.named_groups import (
    NamedAttribute,
    count_cells,
    count_rows,
    hits_of,
    worst_accuracy,
)
from clip_cfr.calibrate.core.task import Task


def cell_accuracies(
    correct: Bool[np.ndarray, " rows"], cells: Int[np.ndarray, " rows"], num_cells: int
) -> Float[np.ndarray, " cells"]:
    """Return the accuracy of each cell (class or group) in [0, 1]; NaN for a cell without rows."""
    counts = np.bincount(cells, minlength=num_cells)
    hits = np.bincount(cells, weights=correct, minlength=num_cells)
    return np.divide(hits, counts, out=np.full(num_cells, np.nan), where=counts > 0)


def worst(correct, cells, num_cells: int) -> float:
    """Return the lowest accuracy over the cells with rows, in [0, 1].

    Args:
        correct: (rows,), bool; at least one row.
        cells: (rows,), the cell (class or group) of each row, in [0, num_cells).
    """
    return float(np.nanmin(cell_accuracies(correct, cells, num_cells)))


def train_weighted_average(
    accuracies: Float[np.ndarray, " groups"], train_counts: Int[np.ndarray, " groups"]
) -> float | None:
    """Return the mean of the group accuracies, weighted by group sizes in the training split.

    WILDS and group DRO report this as "adjusted" or "average" accuracy for Waterbirds. Groups
    without rows are left out; None if no group has rows in both splits.

    Args:
        accuracies: accuracy of each group in [0, 1]; NaN for a group without rows.
        train_counts: training rows of each group.
    """
    weights = np.where(np.isnan(accuracies), 0, train_counts)
    if not weights.sum():
        return None
    return float(np.nansum(accuracies * weights) / weights.sum())


def expected_calibration_error(
    confidence: Float[np.ndarray, " rows"], correct: Bool[np.ndarray, " rows"], bins: int = 15
) -> float:
    """Return the mean gap between confidence and accuracy over bins of equal width, in [0, 1].

    Bins are weighted by their number of rows.

    Args:
        confidence: probability of the predicted class, in [0, 1]; at least one row.
        correct: whether the predicted class is the label.
        bins: number of bins in [0, 1]; each includes its upper bound.

    References:
        Guo et al. 2017, arXiv 1706.04599, equation 3.
    """
    indices = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(indices, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def auroc(
    logits: Float[np.ndarray, "rows classes"], labels: Int[np.ndarray, " rows"]
) -> float | None:
    """Return the area under the ROC curve of class 1; None unless two classes both occur.

    This is the share of pairs with one row of each class that the logit of class 1 minus that of
    class 0 ranks correctly; ties count one half. Probabilities in float32 would not do: at CLIP's
    logit scale of 100 many round to 0 or 1 and become ties. Written here because scikit-learn takes
    a second to import.
    """
    positive = labels == 1
    pairs = np.count_nonzero(positive) * np.count_nonzero(~positive)
    if logits.shape[1] != 2 or not pairs:
        return None
    _, ranks = np.unique(logits[:, 1] - logits[:, 0], return_inverse=True)
    positives, negatives = np.bincount(ranks, positive), np.bincount(ranks, ~positive)
    below = np.cumsum(negatives) - negatives
    return float(positives @ (below + negatives / 2) / pairs)


# Entries of metrics that only groups named in words have.
OF_NAMED_GROUPS = ("worst_named_group", "named_groups")


@dataclass(frozen=True)
class Predictions:
    """Logits of the valid rows of a split.

    Attributes:
        split: `val` or `test`.
        rows: row indices of the task, ascending.
        logits: log-probabilities of the classes, up to a constant for each row.
    """

    split: str
    rows: Int[np.ndarray, " rows"]
    logits: Float[np.ndarray, "rows classes"]

    @property
    def classes(self) -> Int[np.ndarray, " rows"]:
        """The predicted class of each row."""
        return self.logits.argmax(axis=1)

    @property
    def probabilities(self) -> Float[np.ndarray, "rows classes"]:
        """The class probabilities of each row."""
        weights = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def correct(self, task: Task) -> Bool[np.ndarray, " rows"]:
        """Return whether the predicted class of each row is its label."""
        return self.classes == task.labels[self.rows]


@dataclass(frozen=True)
class GroupAccuracy:
    """Accuracy of one group on one split.

    Attributes:
        label, attribute: names of the group's class and attribute.
        n: rows of the group in the split.
        accuracy: in [0, 1]; None if `n` is 0.
    """

    label: str
    attribute: str
    n: int
    accuracy: float | None


@dataclass(frozen=True)
class NamedGroupAccuracy:
    """Accuracy of one group named in words, on one split.

    Attributes:
        label: name of the class.
        attribute, value: names of the attribute and of its value.
        n: rows of the group in the split; rows without a value are in none.
        accuracy: in [0, 1]; None if `n` is 0.
    """

    label: str
    attribute: str
    value: str
    n: int
    accuracy: float | None


@dataclass(frozen=True)
class SplitMetrics:
    """Metrics of one classifier on one split.

    Attributes:
        worst_group: lowest accuracy over the groups with rows.
        average: accuracy over all rows.
        train_weighted_average: see `train_weighted_average`.
        group_mean: unweighted mean of the group accuracies (SubpopBench: adjusted accuracy).
        worst_class: lowest accuracy over the classes with rows.
        balanced_accuracy: unweighted mean of the class accuracies.
        auroc: area under the ROC curve; None unless there are two classes and both occur.
        ece: expected calibration error.
        groups: every group in the order of its index, `label * num_attributes + attribute`.
        inferred_groups: value of the criterion, see `criterion_value`; None in a run of an older
            version.
        worst_named_group: lowest accuracy over the groups named in words that count, see
            `worst_accuracy`; None if no attribute is named, or no row has a value.
        named_groups: every group named in words, attribute after attribute, in the order of
            `label * number of values + value`; empty if no attribute is named.

    All accuracies lie in [0, 1].
    """

    worst_group: float
    average: float
    train_weighted_average: float | None
    group_mean: float
    worst_class: float
    balanced_accuracy: float
    auroc: float | None
    ece: float
    groups: tuple[GroupAccuracy, ...]
    inferred_groups: float | None = None
    worst_named_group: float | None = None
    named_groups: tuple[NamedGroupAccuracy, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the metrics by attribute name, in JSON types; groups are lists of dicts.

        Without groups named in words, their entries are left out.
        """
        values = asdict(self) | {"groups": [asdict(group) for group in self.groups]}
        if not self.named_groups:
            return {name: value for name, value in values.items() if name not in OF_NAMED_GROUPS}
        return values | {"named_groups": [asdict(group) for group in self.named_groups]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the metrics from a dictionary as returned by `to_json`."""
        groups = tuple(GroupAccuracy(**group) for group in values["groups"])
        named = tuple(NamedGroupAccuracy(**each) for each in values.get("named_groups", ()))
        return cls(**{**values, "groups": groups, "named_groups": named})


def evaluate(task: Task, predictions: Predictions) -> SplitMetrics:
    """Return all metrics of a classifier on one split, which must have rows.

    The training split of the task gives the weights of `train_weighted_average`, the same for all
    draws of `train_rows`.
    """
    rows, correct = predictions.rows, predictions.correct(task)
    labels, groups = task.labels[rows], task.groups[rows]
    by_group = cell_accuracies(correct, groups, task.num_groups)
    by_class = cell_accuracies(correct, labels, task.num_classes)
    confidence = predictions.probabilities.max(axis=1)
    return SplitMetrics(
        worst_group=float(np.nanmin(by_group)),
        average=float(correct.mean()),
        train_weighted_average=train_weighted_average(by_group, task.split_group_counts("train")),
        group_mean=float(np.nanmean(by_group)),
        worst_class=float(np.nanmin(by_class)),
        balanced_accuracy=float(np.nanmean(by_class)),
        auroc=auroc(predictions.logits, labels),
        ece=expected_calibration_error(confidence, correct),
        groups=group_accuracies(task, groups, by_group),
        inferred_groups=float(
            criterion_value(correct, task.inferred_groups[rows], task.num_classes)
        ),
        **(
            named_metrics(task.named, task.class_names, task.named_cells[rows], correct)
            if task.named
            else {}
        ),
    )


def named_metrics(
    named: tuple[NamedAttribute, ...],
    class_names: Sequence[str],
    cells: Int[np.ndarray, "rows attributes"],
    correct: Bool[np.ndarray, " rows"],
) -> dict[str, Any]:
    """Return `worst_named_group` and `named_groups` of some rows, as in `SplitMetrics`.

    Args:
        named: the named attributes, at least one.
        class_names: name of each class.
        cells: named groups of each row, see `number_cells`.
        correct: whether each row is right.
    """
    num_cells = count_cells(named, len(class_names))
    worst = float(worst_accuracy(correct, cells, num_cells))
    counts = count_rows(cells, num_cells).tolist()
    hits = hits_of(correct, cells, num_cells)
    names = (
        (label, each.name, value)
        for each in named
        for label in class_names
        for value in each.values
    )
    return {
        "worst_named_group": worst if np.isfinite(worst) else None,
        "named_groups": tuple(
            NamedGroupAccuracy(
                *name, n=counts[i], accuracy=hits[i] / counts[i] if counts[i] else None
            )
            for i, name in enumerate(names)
        ),
    }


def group_accuracies(
    task: Task, groups: Int[np.ndarray, " rows"], accuracies: Float[np.ndarray, " groups"]
) -> tuple[GroupAccuracy, ...]:
    """Return names, number of rows and accuracy of every group, in the order of their indices.

    Args:
        groups: group of each evaluated row.
        accuracies: accuracy of each group; ignored for a group without rows, which gets None.
    """
    counts = np.bincount(groups, minlength=task.num_groups).tolist()
    return tuple(
        GroupAccuracy(*task.group_name(group), n=n, accuracy=float(accuracy) if n else None)
        for group, (n, accuracy) in enumerate(zip(counts, accuracies, strict=True))
    )
