"""Compute the details of a fit, `SeedDetails`."""

import numpy as np

from clip_cfr.calibrate.comparison.compare import evaluate_fitted
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.grid.details import SeedDetails, pack_correct
from clip_cfr.calibrate.methods import load_method
from clip_cfr.calibrate.methods.fitted import Fitted

VAL_METRICS = ("worst_group", "average", "worst_class", "inferred_groups")


def make_details(method: str, experiment: Experiment, fitted: Fitted) -> SeedDetails:
    """Return the details of a method that was fitted in an experiment."""
    outcome, labels = evaluate_fitted(experiment, fitted), experiment.task.labels
    predicted = {name: each["test"] for name, each in outcome.predictions.items()}
    return SeedDetails(
        test_correct={
            name: pack_correct(each.logits.argmax(axis=1) == labels[each.rows])
            for name, each in predicted.items()
        },
        val={
            name: {metric: getattr(each["val"], metric) for metric in VAL_METRICS}
            for name, each in outcome.metrics.items()
        },
        steps=dict(fitted.selected_steps),
        calibration_groups=count_calibration_groups(method, experiment),
    )


def count_calibration_groups(method: str, experiment: Experiment) -> list[int] | None:
    """Return the rows of each group in the calibration set; None if the method has no such set."""
    if not load_method(method).uses_calibration_set:
        return None
    task, rows = experiment.task, experiment.calibration_set.rows
    return np.bincount(task.groups[rows], minlength=task.num_groups).tolist()
