"""Multinomial logistic regression on standardized inputs, over several strengths of its penalty."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.chosen_on_val import choose, make_linear_candidates
from clip_cfr.calibrate.methods.classifiers import LogitsClassifier
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.inputs import CHUNK_ROWS, load_inputs
from clip_cfr.calibrate.runtime.memory import physical_memory

# Inverse strengths of the L2 penalty to choose from, scikit-learn's C, from strong to weak.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
# Largest gradient of the mean loss at which the solver stops; scikit-learn's 1e-4 is above that of
# separable classes long before the optimum.
TOLERANCE = 1e-6
# More iterations than the weakest penalty takes on separable classes.
MAX_ITERATIONS = 10_000
# Logit of a class without training rows. Those of the others sum to zero, so that one is above it.
ABSENT_LOGIT = -1e4
# Up to this size threads gain nothing in the products of an iteration, and on a busy machine they
# lose a factor of 20 by waiting for each other.
SINGLE_THREAD_SIZE = 10_000_000
# The solver needs about a quarter of the inputs' memory besides them.
MEMORY_FACTOR = 1.25
GIGA = 1e9

Linear = tuple[Float[np.ndarray, "inputs classes"], Float[np.ndarray, " classes"]]


def check_inputs_in_memory(
    task: Task, resident_rows: int | None, method: str, num_inputs: int
) -> None:
    """Raise CalibrationError if the inputs of all training rows cannot be in memory in float64."""
    if resident_rows is not None:
        raise CalibrationError(
            f"{method} needs the features of all training rows in memory, and only {resident_rows} "
            "rows are (--hold-rows): raise --hold-rows if memory allows, or leave the method out"
        )
    check_memory(method, len(task.rows("train")), num_inputs)


def check_memory(method: str, rows: int, num_inputs: int) -> None:
    """Raise CalibrationError if the inputs of rows do not fit in memory in float64."""
    memory = physical_memory()
    needed = MEMORY_FACTOR * np.dtype(np.float64).itemsize * rows * num_inputs
    if memory is not None and needed > memory:
        raise CalibrationError(
            f"{method} needs about {needed / GIGA:,.0f} GB of memory for {rows} training rows, and "
            f"this machine has {memory / GIGA:,.0f} GB: leave the method out"
        )


def blas_threads(inputs: Float[np.ndarray, "rows inputs"]) -> int | None:
    """Return the number of threads of BLAS for products with the inputs; None for all."""
    return 1 if inputs.size <= SINGLE_THREAD_SIZE else None


def fit_logistic(
    experiment: Experiment,
    head: Head | None = None,
    row_weights: Float[np.ndarray, " train"] | None = None,
) -> Fitted:
    """Fit a classifier at each strength on the training split; each criterion chooses one on val.

    Args:
        experiment: gives the task.
        head: gives embeddings as inputs; None for the features.
        row_weights: weight of each training row; None for 1.
    """
    task, rows = experiment.task, experiment.task.rows("train")
    inputs = load_inputs(experiment, head, rows)
    scaler = standardize(inputs)
    fits = fit_strengths(inputs, task.labels[rows], task.num_classes, row_weights)
    classifiers = (
        (make_classifier(scaler, linear, head), {"C": strength})
        for strength, linear in zip(STRENGTHS, fits, strict=True)
    )
    return choose(task, make_linear_candidates(experiment, head, classifiers))


def standardize(inputs: Float[np.ndarray, "rows inputs"]) -> StandardScaler:
    """Give each column mean 0 and variance 1, in place, and return the map."""
    scaler = StandardScaler()
    for start in range(0, len(inputs), CHUNK_ROWS):
        scaler.partial_fit(inputs[start : start + CHUNK_ROWS])
    inputs -= scaler.mean_
    inputs /= scaler.scale_
    return scaler


def make_classifier(scaler: StandardScaler, linear: Linear, head: Head | None) -> LogitsClassifier:
    """Fold the standardization (inputs - mean) / scale into weight and bias."""
    weight = linear[0] / scaler.scale_[:, None]
    bias = linear[1] - scaler.mean_ @ weight
    return LogitsClassifier(weight.astype(np.float32), bias.astype(np.float32), head)


def fit_strengths(
    inputs: Float[np.ndarray, "rows inputs"],
    labels: Int[np.ndarray, " rows"],
    num_classes: int,
    row_weights: Float[np.ndarray, " rows"] | None,
) -> Iterator[Linear]:
    """Yield weight and bias at each of `STRENGTHS`; each fit starts at the one before."""
    model = LogisticRegression(tol=TOLERANCE, max_iter=MAX_ITERATIONS, warm_start=True)
    for strength in STRENGTHS:
        with threadpool_limits(blas_threads(inputs), user_api="blas"):
            model.set_params(C=strength).fit(inputs, labels, sample_weight=row_weights)
        yield logits_map(model, num_classes)


def logits_map(model: LogisticRegression, num_classes: int) -> Linear:
    """Return the linear map to the logits of all classes; one without rows is never predicted."""
    weight = np.zeros((model.coef_.shape[1], num_classes))
    bias = np.full(num_classes, ABSENT_LOGIT)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # one row, for the difference of the two logits
        coefficients = np.stack([-coefficients[0], coefficients[0]]) / 2
        intercepts = np.array([-intercepts[0], intercepts[0]]) / 2
    weight[:, model.classes_], bias[model.classes_] = coefficients.T, intercepts
    return weight, bias
