"""The value of the criterion `inferred-groups`, group by group."""

import numpy as np


def inferred_value(task, correct, rows=None) -> float:
    """Return the mean of average and worst-class accuracy and of that over inferred groups.

    Groups of fewer than three rows do not count.

    Args:
        correct: whether a classifier is right about each row of val.
        rows: mask of the rows of val to count; by default all.
    """
    rows = np.ones(len(correct), bool) if rows is None else rows
    groups, correct = task.inferred_groups[task.rows("val")][rows], np.asarray(correct)[rows]
    found = [correct[groups == each] for each in np.unique(groups)]
    large = [each.mean() for each in found if len(each) >= 3]
    mean = np.mean(large or [each.mean() for each in found])
    worst_class = min(correct[groups // 2 == each].mean() for each in np.unique(groups // 2))
    return float((correct.mean() + worst_class + mean) / 3)
