"""Accuracies of a head on the groups of the test split, from the predictions in its run."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest

from clip_cfr.extract.export.selected_head import SelectedHead

ZERO_SHOT = "zeroshot"


class GroupAccuracy(NamedTuple):
    """Accuracy of a head on the images of a group.

    Attributes:
        label: name of the class.
        attribute: name of the attribute.
        count: number of images.
        zero_shot: accuracy of CLIP's own head, in [0, 1]; None if the run did not measure it.
        accuracy: accuracy of the head, in [0, 1].
        low: lower end of its 95 % interval (Clopper-Pearson), as if images were independent.
        high: upper end.
    """

    label: str
    attribute: str
    count: int
    zero_shot: float | None
    accuracy: float
    low: float
    high: float


def group_accuracies(head: SelectedHead, split: str) -> list[GroupAccuracy]:
    """Return the accuracies on each group with images in a split, in the order of the groups."""
    columns = head.run.predictions
    correct = is_correct(columns, f"{head.method}_seed{head.seed}")
    zero_shot = is_correct(columns, f"{ZERO_SHOT}_seed{head.seed}")
    found = []
    for group in head.run.metrics["groups"]:
        label, attribute = group["label"], group["attribute"]
        rows = (columns["split"] == split) & (columns["label"] == label)
        rows &= columns["attribute"].astype(str) == str(attribute)
        if rows.any():
            before = None if zero_shot is None else float(zero_shot[rows].mean())
            found.append(GroupAccuracy(label, attribute, *count(correct[rows], before)))
    return found


def is_correct(columns: Mapping[str, Any], name: str) -> np.ndarray | None:
    """Return whether each prediction in the column `name` is right; None without the column."""
    return columns[name].astype(str) == columns["label"].astype(str) if name in columns else None


def count(correct: np.ndarray, zero_shot: float | None) -> tuple:
    """Return the last five fields of a `GroupAccuracy`."""
    hits, total = int(correct.sum()), len(correct)
    low, high = binomtest(hits, total).proportion_ci(0.95, method="exact")
    return total, zero_shot, hits / total, float(low), float(high)


def reported_split(head: SelectedHead) -> str:
    """Return `test` if the run has predictions on that split, otherwise `val`."""
    return "test" if (head.run.predictions["split"] == "test").any() else "val"
