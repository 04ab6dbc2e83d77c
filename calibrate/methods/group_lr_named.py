"""Group-reweighted logistic regression on groups that are named in words instead of labelled."""

import numpy as np

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import group_lr
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.logistic import check_inputs_in_memory, fit_logistic
from clip_cfr.calibrate.methods.method import Method
from clip_cfr.calibrate.methods.named import check_named, named_grouping

NAME = "group-lr-named"
METHOD = Method(
    group_labels="named in words",
    named_split="train",
    settings=group_lr.METHOD.settings,
    chooses_on_val=True,
)


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise CalibrationError if no attribute is named, or the rows do not fit in memory."""
    check_named(task, NAME, METHOD.named_split)
    check_inputs_in_memory(task, resident_rows, NAME, task.projection.shape[0])


def fit(experiment: Experiment) -> Fitted:
    """Fit the classifier whose strength each criterion chooses; rows without a value weigh nothing.

    Raises:
        CalibrationError: no attribute is named in words.
    """
    task, rows = experiment.task, experiment.task.rows("train")
    groups = named_grouping(task, NAME, METHOD.named_split).indices[rows]
    weights = np.zeros(len(rows))
    weights[groups >= 0] = group_lr.weigh_groups(groups[groups >= 0])
    return fit_logistic(experiment, row_weights=weights)
