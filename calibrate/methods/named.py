"""What the methods on groups named in words have in common: their groups, and their checks."""

import numpy as np

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.named_groups import Grouping, join_attributes
from clip_cfr.calibrate.core.task import Task

HOW_TO_NAME = (
    "name one by its values, for example --attribute 'on water' --attribute 'on land', or several "
    "with --attributes FILE.json"
)


def named_grouping(task: Task, method: str, split: str) -> Grouping:
    """Return the groups of class x the values of all attributes that are named in words.

    Raises:
        CalibrationError: no attribute is named, or no row of the split has a group.
    """
    check_named(task, method, split)
    return join_attributes(task.labels, task.named, task.class_names)


def check_named(task: Task, method: str, split: str) -> None:
    """Raise CalibrationError if no attribute is named, or no row of the split has all values."""
    if not task.named:
        raise CalibrationError(f"{method} needs attributes named in words: {HOW_TO_NAME}")
    rows = task.rows(split)
    if not np.all([each.indices[rows] >= 0 for each in task.named], axis=0).any():
        raise CalibrationError(
            f"{method} needs {split} rows whose named values are above --attribute-margin, found "
            "none: lower it, or leave the method out"
        )
