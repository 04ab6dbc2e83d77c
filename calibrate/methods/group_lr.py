"""Group-reweighted logistic regression: every group of the training split has the same weight.

It knows the groups of the training split. It shows what the features allow, and does not compete
with the methods that use no group labels.
"""

import numpy as np
from jaxtyping import Float, Int

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.logistic import check_inputs_in_memory, fit_logistic
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(group_labels="train", settings=("resample",), chooses_on_val=True)


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise CalibrationError if there are no attributes, or not all training rows fit in memory."""
    if len(task.attribute_names) < 2:
        raise CalibrationError(
            "group-lr needs group labels: expected at least two attributes in the cache, found "
            f"only {task.attribute_names[0]!r}; make the cache from a list with attributes, or "
            "leave the method out"
        )
    check_inputs_in_memory(task, resident_rows, "group-lr", task.projection.shape[0])


def fit(experiment: Experiment) -> Fitted:
    """Fit the classifier whose strength each criterion chooses on the validation split.

    Raises:
        CalibrationError: there are no attributes.
    """
    task, rows = experiment.task, experiment.task.rows("train")
    check(task, experiment.settings, experiment.prepared.resident_rows)
    return fit_logistic(experiment, row_weights=weigh_groups(task.groups[rows]))


def weigh_groups(groups: Int[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Return weights of mean 1 that give each group that occurs the same total."""
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return len(groups) / (len(counts) * counts[group])
