"""Cross-fitting: judge a selected classifier on validation rows that did not select it.

The best of many evaluations on some rows looks better on these rows than it is. So the validation
split is cut into two halves: the classifier selected on one is judged on the other, and the other
way round. All methods share the halves.
"""

import numpy as np
from jaxtyping import Bool, Int

from clip_cfr.calibrate.comparison.tallies import Tally, criterion
from clip_cfr.calibrate.core import named_groups
from clip_cfr.calibrate.core.inferred_groups import criterion_value
from clip_cfr.calibrate.core.settings import WORST_NAMED_GROUP
from clip_cfr.calibrate.core.task import Task


def draw_halves(
    rng: np.random.Generator,
    labels: Int[np.ndarray, " rows"],
    subjects: Int[np.ndarray, " rows"] | None,
) -> Bool[np.ndarray, " rows"]:
    """Draw which rows are in the second half of a split.

    Rows of one subject are in the same half. Without subjects, each class is halved, up to one row.
    """
    if subjects is not None:
        units = np.unique(subjects, return_inverse=True)[1]
        return (rng.permutation(units.max() + 1) % 2 == 1)[units]
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    half = np.zeros(len(labels), bool)
    half[order[1::2]] = True
    return half


def cross_fit(
    task: Task,
    val_correct: Bool[np.ndarray, "evaluations rows"],
    selection: str,
    second: Bool[np.ndarray, " rows"],
) -> Bool[np.ndarray, " rows"]:
    """Return whether the classifier that the other half selects is right about each row.

    If all rows are in one half (there is one subject), the classifier that they select is judged.

    Args:
        task: the task.
        val_correct: whether each classifier is right about each row of the validation split.
        selection: the criterion; `last` selects the last classifier.
        second: whether a row is in the second half.
    """
    if selection == "last":
        return val_correct[-1]
    if second.all() or not second.any():
        return val_correct[select(task, val_correct, selection, np.ones(len(second), bool))]
    by_first = val_correct[select(task, val_correct, selection, ~second)]
    by_second = val_correct[select(task, val_correct, selection, second)]
    return np.where(second, by_first, by_second)


def select(
    task: Task,
    val_correct: Bool[np.ndarray, "evaluations rows"],
    selection: str,
    chosen: Bool[np.ndarray, " rows"],
) -> int:
    """Return the index of the first of the best classifiers by a criterion on the chosen rows."""
    if selection == "inferred-groups":
        groups = task.inferred_groups[task.rows("val")[chosen]]
        return int(criterion_value(val_correct[:, chosen], groups, task.num_classes).argmax())
    if selection == WORST_NAMED_GROUP and task.named:
        rows = task.rows("val")[chosen]
        values = named_groups.criterion_value(
            val_correct[:, chosen], task.labels[rows], task.named_cells[rows], task.num_named_cells
        )
        return int(values.argmax())
    groups = task.groups[task.rows("val")[chosen]]
    counts = np.bincount(groups, minlength=task.num_groups)[None].astype(float)
    hits = [np.bincount(groups, each, task.num_groups) for each in val_correct[:, chosen]]
    tally = Tally(np.stack(hits), counts)
    values = criterion(selection, tally, task.num_classes, len(task.attribute_names))
    return int(values.argmax())
