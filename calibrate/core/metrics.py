"""Accuracies over rows, classes and groups, told apart by name; calibration error; AUROC."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from clip_cfr.calibrate.core.task import Task


def cell_accuracies(
    correct: Bool[np.ndarray, " rows"], cells: Int[np.ndarray, " rows"], num_cells: int
) -> Float[np.ndarray, " cells"]:
    """Accuracy of each cell (a class or a group) in [0, 1]; NaN for one without rows."""
    counts = np.bincount(cells, minlength=num_cells)
    hits = np.bincount(cells, weights=correct, minlength=num_cells)
    return np.divide(hits, counts, out=np.full(num_cells, np.nan), where=counts > 0)


def worst(correct, cells, num_cells: int) -> float:
    """Lowest accuracy over the cells that have rows."""
    return float(np.nanmin(cell_accuracies(correct, cells, num_cells)))


def train_weighted_average(
    accuracies: Float[np.ndarray, " groups"], train_counts: Int[np.ndarray, " groups"]
) -> float | None:
    """Group accuracies weighted by the training split's group sizes, over the groups with rows.

    What WILDS and group DRO call "adjusted" or simply "average" for Waterbirds. None where no
    group has rows in both splits.
    """
    weights = np.where(np.isnan(accuracies), 0, train_counts)
    if not weights.sum():
        return None
    return float(np.nansum(accuracies * weights) / weights.sum())


def expected_calibration_error(
    confidence: Float[np.ndarray, " rows"], correct: Bool[np.ndarray, " rows"], bins: int = 15
) -> float:
    """Mean distance of confidence and accuracy over bins of equal width, weighted by rows.

    References:
        Guo et al. 2017, arXiv 1706.04599, equation 3.
    """
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(places, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def auroc(probabilities, labels) -> float | None:
    """Area under the ROC curve of class 1, for two classes that both occur; else None.

    The share of pairs, one row of each class, that the probability of class 1 ranks rightly; equal
    ones are half right. By hand, for scikit-learn takes a second to import.
    """
    positive = labels == 1
    pairs = np.count_nonzero(positive) * np.count_nonzero(~positive)
    if probabilities.shape[1] != 2 or not pairs:
        return None
    _, places = np.unique(probabilities[:, 1], return_inverse=True)
    positives, negatives = np.bincount(places, positive), np.bincount(places, ~positive)
    below = np.cumsum(negatives) - negatives
    return float(positives @ (below + negatives / 2) / pairs)


@dataclass(frozen=True)
class Predictions:
    """Probabilities of the readable rows of a split."""

    split: str
    rows: Int[np.ndarray, " rows"]
    probabilities: Float[np.ndarray, "rows classes"]

    def correct(self, task: Task) -> Bool[np.ndarray, " rows"]:
        """Whether each row's most probable class is its label."""
        return self.probabilities.argmax(axis=1) == task.labels[self.rows]


def evaluate(task: Task, predictions: Predictions) -> dict[str, Any]:
    """All metrics of one split, accuracies in [0, 1]; None where there are no rows."""
    rows, correct = predictions.rows, predictions.correct(task)
    labels, groups = task.labels[rows], task.groups[rows]
    by_group = cell_accuracies(correct, groups, task.num_groups)
    by_class = cell_accuracies(correct, labels, task.num_classes)
    confidence = predictions.probabilities.max(axis=1)
    return {
        "worst_group": float(np.nanmin(by_group)),
        "average": float(correct.mean()),
        "train_weighted_average": train_weighted_average(by_group, task.group_counts("train")),
        "group_mean": float(np.nanmean(by_group)),
        "worst_class": float(np.nanmin(by_class)),
        "balanced_accuracy": float(np.nanmean(by_class)),
        "auroc": auroc(predictions.probabilities, labels),
        "ece": expected_calibration_error(confidence, correct),
        "groups": [
            {
                **dict(zip(("label", "attribute"), task.group_name(number), strict=True)),
                "n": int(count),
                "accuracy": None if count == 0 else float(by_group[number]),
            }
            for number, count in enumerate(np.bincount(groups, minlength=task.num_groups))
        ],
    }
