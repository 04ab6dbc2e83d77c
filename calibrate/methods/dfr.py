"""Deep feature reweighting (DFR): a linear classifier fitted on a balanced validation split.

It uses the attributes of the validation split. It shows what the features allow, and does not
compete with the methods that use no group labels.

References:
    Kirichenko, Izmailov, Wilson 2023, arXiv 2204.02937: L1 logistic regression on standardized
    features, averaged over balanced subsamples; its strength is chosen on half of the validation
    split, and the classifier is refitted on all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.metrics import worst
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_once
from clip_cfr.calibrate.methods.inputs import input_chunks
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(
    group_labels="val", stream=3, settings=("dfr_subsamples", "resample"), chooses_on_val=True
)

# Inverse strengths of the L1 penalty to choose from.
PENALTIES = (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
# Log-odds of a class without rows.
MIN_LOG_ODDS = -50.0
WITHOUT_DFR = "(--method zeroshot --method erm --method cfr)"

# Weight and bias of one classifier for each class against the rest, float64.
Linear = tuple[Float[np.ndarray, "dim classes"], Float[np.ndarray, " classes"]]


@dataclass(frozen=True)
class LinearClassifier:
    """One logistic regression for each class against the rest.

    Probabilities are the logistic functions of the scores, divided by their sum over the classes.
    The saved arrays are `linear_weight` and `linear_bias`.

    Attributes:
        weight, bias: for features as stored in the cache, float32. The standardization of the
            features is a linear map too, and is part of them.
    """

    weight: Float[np.ndarray, "dim classes"]
    bias: Float[np.ndarray, " classes"]

    @property
    def formula(self) -> str:
        """How to apply the saved arrays; see `Classifier.formula`."""
        return (
            "scores = features @ linear_weight + linear_bias; "
            "probabilities = sigmoid(scores) / sum(sigmoid(scores))"
        )

    def logits(
        self, experiment: Experiment, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows classes"]:
        """Return the logarithm of the sigmoid of the scores."""
        chunks = input_chunks(experiment, None, rows)
        scores = np.concatenate([chunk @ self.weight for chunk in chunks])
        return -np.logaddexp(0, -(scores + self.bias))

    def arrays(self, experiment: Experiment) -> dict[str, np.ndarray]:
        """Return `linear_weight` (dim, classes) and `linear_bias` (classes,), float32."""
        return {"linear_weight": self.weight, "linear_bias": self.bias}


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise CalibrationError if a validation group has one row, or only one class has rows."""
    check_groups(task)


def fit(experiment: Experiment) -> Fitted:
    """Fit the classifier, averaged over `dfr_subsamples` group-balanced subsamples.

    The result has one classifier for all selection criteria, and no log.

    Raises:
        CalibrationError: a validation group has one row, or only one class has validation rows.
    """
    check_groups(experiment.task)
    rows = experiment.task.rows("val")
    groups = experiment.task.groups[rows]
    return fit_groups(experiment, METHOD.stream, rows, groups, experiment.task.num_groups)


def fit_groups(
    experiment: Experiment,
    stream: int,
    rows: Int[np.ndarray, " rows"],
    groups: Int[np.ndarray, " rows"],
    num_groups: int,
) -> Fitted:
    """Fit the classifier on groups of rows, at least two of each group that occurs.

    Args:
        experiment: gives the task.
        stream: index of the random numbers.
        rows: indices of the rows to fit on, ascending.
        groups: group of each of them.
        num_groups: number of groups.
    """
    task, rng, scaler = experiment.task, experiment.rng(stream), fit_scaler(experiment)
    split = ValidationSplit(
        features=scaler.transform(task.features[rows].astype(np.float32)),
        labels=task.labels[rows],
        groups=groups,
        num_classes=task.num_classes,
        num_groups=num_groups,
    )
    penalty = choose_penalty(rng, split, experiment.seed)
    weight, bias = average_fits(rng, split, penalty, experiment.settings.dfr_subsamples)
    # Fold the standardization (features - mean) / scale into weight and bias.
    weight = weight / scaler.scale_[:, None]
    bias = bias - scaler.mean_ @ weight
    return fitted_once(LinearClassifier(weight.astype(np.float32), bias.astype(np.float32)))


def check_groups(task: Task) -> None:
    """Raise CalibrationError if a validation group has one row, or only one class has rows."""
    rows = task.rows("val")
    names = [task.group_name(each) for each in range(task.num_groups)]
    check_rows("dfr", task.labels[rows], task.groups[rows], names, WITHOUT_DFR)


def check_rows(
    method: str,
    labels: Int[np.ndarray, " rows"],
    groups: Int[np.ndarray, " rows"],
    names: Sequence[Sequence[str]],
    remedy: str,
) -> None:
    """Raise CalibrationError if a group has one row, or only one class has rows.

    Args:
        method: the method, for the message.
        labels: class of each row to fit on.
        groups: its group.
        names: names of class and attribute of each group.
        remedy: end of the message: the methods to fit instead.
    """
    counts = np.bincount(groups, minlength=len(names))
    single = [f"({', '.join(names[each])})" for each in np.flatnonzero(counts == 1)]
    if single:
        raise CalibrationError(
            f"{method} needs at least two validation rows in each group, found one in "
            f"{', '.join(single)}: leave the method out {remedy}"
        )
    if len(np.unique(labels)) < 2:
        raise CalibrationError(
            f"{method} needs validation rows of at least two classes: leave the method out {remedy}"
        )


def fit_scaler(experiment: Experiment) -> StandardScaler:
    """Fit mean and scale of each feature on the training split, reading a chunk at a time."""
    scaler = StandardScaler()
    for chunk in input_chunks(experiment, None, experiment.task.rows("train")):
        scaler.partial_fit(chunk)
    return scaler


@dataclass(frozen=True)
class ValidationSplit:
    """Standardized features of the validation split, float32, with their labels and groups."""

    features: Float[np.ndarray, "rows dim"]
    labels: Int[np.ndarray, " rows"]
    groups: Int[np.ndarray, " rows"]
    num_classes: int
    num_groups: int


def choose_penalty(rng: np.random.Generator, split: ValidationSplit, seed: int) -> float:
    """Choose the penalty whose fit on one half has the best worst-group accuracy on the other.

    The halves have equal shares of each group. Of equal accuracies the weakest penalty wins.

    Args:
        rng: draws the balanced subsamples.
        seed: seed of the split into halves.

    Returns:
        An entry of `PENALTIES`, an inverse strength.
    """
    half, other = train_test_split(
        np.arange(len(split.groups)), test_size=0.5, stratify=split.groups, random_state=seed
    )
    accuracies = [score_penalty(rng, split, half, other, penalty) for penalty in PENALTIES]
    return PENALTIES[int(np.argmax(accuracies))]


def score_penalty(
    rng: np.random.Generator,
    split: ValidationSplit,
    half: Int[np.ndarray, " half"],
    other: Int[np.ndarray, " other"],
    penalty: float,
) -> float:
    """Fit on a balanced subsample of one half; return worst-group accuracy on the other half.

    The accuracy is in [0, 1].

    Args:
        rng: draws the subsample.
        split: the validation split.
        half, other: indices of rows of the split.
        penalty: inverse strength of the L1 penalty.
    """
    chosen = half[draw_balanced_subsample(rng, split.groups[half])]
    weight, bias = fit_linear(split, chosen, penalty)
    correct = (split.features[other] @ weight + bias).argmax(axis=1) == split.labels[other]
    return worst(correct, split.groups[other], split.num_groups)


def average_fits(
    rng: np.random.Generator, split: ValidationSplit, penalty: float, count: int
) -> Linear:
    """Return mean weight (dim, classes) and bias (classes,) of fits on balanced subsamples.

    Args:
        rng: draws the subsamples.
        split: the validation split.
        penalty: inverse strength of the L1 penalty.
        count: number of subsamples.
    """
    draws = (draw_balanced_subsample(rng, split.groups) for _ in range(count))
    weights, biases = zip(*(fit_linear(split, chosen, penalty) for chosen in draws), strict=True)
    return np.mean(weights, axis=0), np.mean(biases, axis=0)


def draw_balanced_subsample(
    rng: np.random.Generator, groups: Int[np.ndarray, " rows"]
) -> Int[np.ndarray, " chosen"]:
    """Draw the same number of rows of each group that occurs: that of the smallest such group.

    Returns:
        Indices into `groups`, without repetition, group after group.
    """
    present, counts = np.unique(groups, return_counts=True)
    drawn = [rng.permutation(np.flatnonzero(groups == each))[: counts.min()] for each in present]
    return np.concatenate(drawn)


def fit_linear(split: ValidationSplit, rows: Int[np.ndarray, " rows"], penalty: float) -> Linear:
    """Fit a logistic regression of each class against the rest, with an L1 penalty.

    If the rows are of two classes only, the weight and the bias of one are the negatives of the
    other's. A class without rows gets weight 0 and bias -50, so that it is never predicted. The fit
    is deterministic.

    Args:
        split: standardized features and labels.
        rows: indices of rows of the split, of at least two classes.
        penalty: inverse strength of the L1 penalty, scikit-learn's C.

    Returns:
        The weight (dim, classes) and the bias (classes,) of the log-odds
        `features @ weight + bias`, float64.
    """
    features, labels = split.features[rows], split.labels[rows]
    weight = np.zeros((features.shape[1], split.num_classes))
    bias = np.full(split.num_classes, MIN_LOG_ODDS)
    present = np.unique(labels)
    for each in present[-1:] if len(present) == 2 else present:
        model = fit_one_against_rest(features, labels == each, penalty)
        weight[:, each], bias[each] = model.coef_[0], model.intercept_[0]
    if len(present) == 2:  # the classifier of one class is the negative of the other's
        weight[:, present[0]], bias[present[0]] = -weight[:, present[1]], -bias[present[1]]
    return weight, bias


def fit_one_against_rest(
    features: Float[np.ndarray, "rows dim"], targets: Bool[np.ndarray, " rows"], penalty: float
) -> LogisticRegression:
    """Return a logistic regression of `targets` on the features, fitted with an L1 penalty.

    Args:
        targets: whether a row belongs to the class.
        penalty: inverse strength of the penalty, scikit-learn's C.
    """
    # liblinear shuffles coordinates: a fixed seed makes equal inputs give equal bits.
    model = LogisticRegression(C=penalty, l1_ratio=1, solver="liblinear", random_state=0)
    return model.fit(features, targets)
