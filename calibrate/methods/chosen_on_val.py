"""Choose among classifiers that differ in hyperparameters, by each criterion on the val split."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.metrics import worst
from clip_cfr.calibrate.core.settings import SELECTIONS
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.classifiers import Classifier
from clip_cfr.calibrate.methods.fitted import Fitted


class Candidate(NamedTuple):
    """A classifier to choose.

    Attributes:
        classifier: the classifier.
        hyperparameters: values that tell it from the others, by name.
        values: its accuracy in [0, 1] on the validation split, by criterion.
    """

    classifier: Classifier
    hyperparameters: dict[str, float]
    values: dict[str, float]


def make_candidate(
    experiment: Experiment, classifier: Classifier, **hyperparameters: float
) -> Candidate:
    """Return a classifier with its hyperparameters and its accuracies on the validation split."""
    task, rows = experiment.task, experiment.task.rows("val")
    predicted = classifier.logits(experiment, rows).argmax(axis=1)
    values = measure_criteria(task, predicted == task.labels[rows])
    return Candidate(classifier, hyperparameters, values)


def measure_criteria(task: Task, correct: Bool[np.ndarray, " val"]) -> dict[str, float]:
    """Return the value of each criterion in [0, 1] from the correct predictions on val.

    `last` needs steps of training to have a meaning; here it is worst-class accuracy, by which
    methods are compared under `last` as well.
    """
    rows = task.rows("val")
    worst_class = worst(correct, task.labels[rows], task.num_classes)
    return {
        "worst-class": worst_class,
        "average": float(correct.mean()),
        "worst-group": worst(correct, task.groups[rows], task.num_groups),
        "last": worst_class,
    }


def choose(candidates: Sequence[Candidate]) -> Fitted:
    """Return the candidate of the best value by each criterion; of equal ones the first."""
    return choose_each(dict.fromkeys(SELECTIONS, candidates))


def choose_each(candidates: Mapping[str, Sequence[Candidate]]) -> Fitted:
    """Return, for each criterion, the best of its own candidates; of equal ones the first."""
    best = {
        name: max(candidates[name], key=lambda each, name=name: each.values[name])
        for name in SELECTIONS
    }
    return Fitted(
        classifiers={name: each.classifier for name, each in best.items()},
        chosen={name: each.hyperparameters for name, each in best.items()},
    )
