"""Deep feature reweighting: a linear classifier fitted on a group-balanced validation split.

It sees the validation split's attributes, so it is a reference for what the features allow and no
rival of the methods that use none.

References:
    Kirichenko, Izmailov, Wilson 2023, arXiv 2204.02937: L1 logistic regression on standardised
    features, averaged over balanced subsamples; its strength chosen on half of the validation
    split and refitted on all of it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.metrics import worst
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.fitted import Fitted, unselected

STRENGTHS = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
CHUNK = 8192
NEVER = -50.0  # the log-odds of a class that has no rows


@dataclass(frozen=True)
class LinearClassifier:
    """A linear map of the features, with a logistic link for each class."""

    weight: Float[np.ndarray, "dim classes"]
    bias: Float[np.ndarray, " classes"]
    formula = "scores = features @ linear_weight + linear_bias"

    def probabilities(self, experiment: Experiment, rows):
        task = experiment.task
        starts = range(0, len(rows), CHUNK)
        chunks = (task.features[rows[start : start + CHUNK]] for start in starts)
        scores = np.concatenate([chunk.astype(np.float32) @ self.weight for chunk in chunks])
        chances = 1 / (1 + np.exp(-np.clip(scores + self.bias, NEVER, -NEVER)))
        return (chances / chances.sum(axis=1, keepdims=True)).astype(np.float32)

    def arrays(self, experiment: Experiment):
        return {"linear_weight": self.weight, "linear_bias": self.bias}


def fit(experiment: Experiment) -> Fitted:
    """The averaged classifier.

    Raises:
        CalibrationError: a group of the validation split has one row, or one class all of them.
    """
    task, rng = experiment.task, experiment.rng("dfr")
    rows, scaler = task.rows("val"), train_scaler(task)
    labels, groups = task.labels[rows], task.groups[rows]
    check_groups(task, groups)
    features = scaler.transform(task.features[rows].astype(np.float32))
    strength = choose_strength(rng, task, features, labels, groups, experiment.seed)
    count = experiment.settings.dfr_subsamples
    weight, bias = average_fit(rng, features, labels, groups, task.num_classes, strength, count)
    # Standardising is a linear map too: folded in, the classifier takes features as they are.
    weight = weight / scaler.scale_[:, None]
    bias = bias - scaler.mean_ @ weight
    return unselected(LinearClassifier(weight.astype(np.float32), bias.astype(np.float32)))


def choose_strength(rng, task: Task, features, labels, groups, seed: int) -> float:
    """The strength whose fit on one half has the best worst-group accuracy on the other."""
    half, other = train_test_split(
        np.arange(len(groups)), test_size=0.5, stratify=groups, random_state=seed
    )
    scores = []
    for strength in STRENGTHS:
        chosen = half[balanced_subsample(rng, groups[half])]
        weight, bias = fit_linear(features[chosen], labels[chosen], task.num_classes, strength)
        correct = (features[other] @ weight + bias).argmax(axis=1) == labels[other]
        scores.append(worst(correct, groups[other], task.num_groups))
    return STRENGTHS[int(np.argmax(scores))]


def train_scaler(task: Task) -> StandardScaler:
    """Means and scales of the training split's features, chunk by chunk."""
    scaler, rows = StandardScaler(), task.rows("train")
    for start in range(0, len(rows), CHUNK):
        scaler.partial_fit(task.features[rows[start : start + CHUNK]].astype(np.float32))
    return scaler


def check_groups(task: Task, groups: Int[np.ndarray, " val"]) -> None:
    """Raises where the validation split cannot be balanced and halved."""
    counts = np.bincount(groups, minlength=task.num_groups)
    names = ["({}, {})".format(*task.group_name(each)) for each in np.flatnonzero(counts == 1)]
    if names:
        raise CalibrationError(
            f"dfr needs at least two validation rows in a group, found one in {', '.join(names)}: "
            "leave the method out (--method zeroshot --method erm --method cfr)"
        )
    if len(np.unique(np.flatnonzero(counts) // len(task.attribute_names))) < 2:
        raise CalibrationError(
            "dfr needs validation rows of at least two classes: leave the method out "
            "(--method zeroshot --method erm --method cfr)"
        )


def balanced_subsample(rng, groups: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " chosen"]:
    """Places of equally many rows of each group that has any, drawn at random."""
    present, counts = np.unique(groups, return_counts=True)
    drawn = [rng.permutation(np.flatnonzero(groups == each))[: counts.min()] for each in present]
    return np.concatenate(drawn)


def fit_one(
    features: Float[np.ndarray, "rows dim"], targets: Bool[np.ndarray, " rows"], strength: float
) -> LogisticRegression:
    """L1 logistic regression of one class against the rest."""
    # liblinear shuffles coordinates: fixed, so that equal input gives equal bits.
    model = LogisticRegression(C=strength, l1_ratio=1, solver="liblinear", random_state=0)
    return model.fit(features, targets)


def fit_linear(
    features: Float[np.ndarray, "rows dim"],
    labels: Int[np.ndarray, " rows"],
    num_classes: int,
    strength: float,
) -> tuple[Float[np.ndarray, "dim classes"], Float[np.ndarray, " classes"]]:
    """Weight and bias, one class against the rest; a class without rows is never predicted."""
    weight, bias = np.zeros((features.shape[1], num_classes)), np.full(num_classes, NEVER)
    present = np.unique(labels)
    for each in present[-1:] if len(present) == 2 else present:
        model = fit_one(features, labels == each, strength)
        weight[:, each], bias[each] = model.coef_[0], model.intercept_[0]
    if len(present) == 2:  # one class is the other's opposite: a second fit would say the same
        weight[:, present[0]], bias[present[0]] = -weight[:, present[1]], -bias[present[1]]
    return weight, bias


def average_fit(rng, features, labels, groups, num_classes: int, strength: float, count: int):
    """Mean weight and bias over fits on balanced subsamples."""
    fits = []
    for _ in range(count):
        chosen = balanced_subsample(rng, groups)
        fits.append(fit_linear(features[chosen], labels[chosen], num_classes, strength))
    weights, biases = zip(*fits, strict=True)
    return np.mean(weights, axis=0), np.mean(biases, axis=0)
