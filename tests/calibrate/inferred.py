"""The value of the criterion `inferred-groups`, group by group."""

import numpy as np


def inferred_value(task, correct, rows=None) -> float:
    """Return the mean accuracy over inferred groups of three or more rows.

    Args:
        correct: whether a classifier is right about each row of val.
        rows: mask of the rows of val to count; by default all.
    """
    rows = np.ones(len(correct), bool) if rows is None else rows
    groups, correct = task.inferred_groups[task.rows("val")][rows], np.asarray(correct)[rows]
    found = [correct[groups == each] for each in np.unique(groups)]
    large = [each.mean() for each in found if len(each) >= 3]
    return float(np.mean(large or [each.mean() for each in found]))
