"""Choose among classifiers that differ in hyperparameters, by each criterion on the val split."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from clip_cfr.calibrate.core import named_groups
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.core.inferred_groups import criterion_value
from clip_cfr.calibrate.core.metrics import worst
from clip_cfr.calibrate.core.settings import SELECTIONS, WORST_NAMED_GROUP
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.classifiers import Classifier, LogitsClassifier
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.inputs import input_chunks


class Candidate(NamedTuple):
    """A classifier to choose.

    Attributes:
        classifier: the classifier.
        hyperparameters: values that tell it from the others, by name.
        val_correct: whether it is right about each row of the validation split.
    """

    classifier: Classifier
    hyperparameters: dict[str, float]
    val_correct: Bool[np.ndarray, " val"]


def make_candidate(
    task: Task,
    classifier: Classifier,
    val_logits: Float[np.ndarray, "val classes"],
    **hyperparameters: float,
) -> Candidate:
    """Return a classifier with its hyperparameters, and where it is right on the val split."""
    correct = val_logits.argmax(axis=1) == task.labels[task.rows("val")]
    return Candidate(classifier, hyperparameters, correct)


def make_linear_candidates(
    experiment: Experiment,
    head: Head | None,
    classifiers: Iterable[tuple[LogitsClassifier, dict[str, float]]],
) -> list[Candidate]:
    """Return candidates whose inputs are the same; those of the val split are read once.

    Args:
        experiment: gives the task.
        head: gives the embeddings that are the inputs; None for features.
        classifiers: classifiers, each with its hyperparameters.
    """
    task = experiment.task
    val_inputs = list(input_chunks(experiment, head, task.rows("val")))
    return [
        make_candidate(task, classifier, classifier.apply(val_inputs), **hyperparameters)
        for classifier, hyperparameters in classifiers
    ]


def choose(task: Task, candidates: Sequence[Candidate]) -> Fitted:
    """Return the candidate of the best value by each criterion; of equal ones the first."""
    values = [measure_criteria(task, each.val_correct) for each in candidates]
    best = {
        name: candidates[int(np.argmax([each[name] for each in values]))] for name in SELECTIONS
    }
    return Fitted(
        classifiers={name: each.classifier for name, each in best.items()},
        chosen={name: each.hyperparameters for name, each in best.items()},
        val_correct=np.stack([each.val_correct for each in candidates]),
    )


def measure_criteria(task: Task, val_correct: Bool[np.ndarray, " val"]) -> dict[str, float]:
    """Return the value of each criterion in [0, 1] from the correct predictions on val.

    `last` needs steps of training to have a meaning; here it is worst-class accuracy, by which
    methods are compared under `last` as well.
    """
    rows = task.rows("val")
    worst_class = worst(val_correct, task.labels[rows], task.num_classes)
    return {
        "worst-class": worst_class,
        "average": float(val_correct.mean()),
        "inferred-groups": float(
            criterion_value(val_correct, task.inferred_groups[rows], task.num_classes)
        ),
        WORST_NAMED_GROUP: worst_named_group(task, val_correct, worst_class),
        "worst-group": worst(val_correct, task.groups[rows], task.num_groups),
        "last": worst_class,
    }


def worst_named_group(
    task: Task, val_correct: Bool[np.ndarray, " val"], worst_class: float
) -> float:
    """Return the criterion over the groups named in words; `worst_class` if none is named."""
    if not task.named:
        return worst_class
    rows = task.rows("val")
    cells, labels = task.named_cells[rows], task.labels[rows]
    return float(named_groups.criterion_value(val_correct, labels, cells, task.num_named_cells))
