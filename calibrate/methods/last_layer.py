"""Fit a last layer that stays near given weights: weighted logistic regression."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import log_softmax
from threadpoolctl import threadpool_limits

from clip_cfr.cache.wording import count_noun
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.methods.logistic import MAX_ITERATIONS, TOLERANCE, blas_threads

# Gradient above which a fit that the solver gave up is an error.
MAX_GRADIENT = 1e-3


def fit_last_layer(
    inputs: Float[np.ndarray, "rows inputs"],
    labels: Int[np.ndarray, " rows"],
    row_weights: Float[np.ndarray, " rows"],
    start: Float[np.ndarray, "classes inputs"],
    penalty: float,
) -> Float[np.ndarray, "classes inputs"]:
    """Return the weights of the smallest `last_layer_loss`, which is convex, in float64.

    Raises:
        CalibrationError: the solver stopped far from it.
    """

    def evaluate(flat: Float[np.ndarray, " weights"]):
        weights = flat.reshape(start.shape)
        loss, gradient = last_layer_loss(weights, inputs, labels, row_weights, start, penalty)
        return loss, gradient.ravel()

    options = {"maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS, "gtol": TOLERANCE}
    with threadpool_limits(blas_threads(inputs), user_api="blas"):
        found = minimize(
            evaluate, start.ravel(), jac=True, method="L-BFGS-B", options={**options, "ftol": 0}
        )
    if not np.abs(found.jac).max() <= MAX_GRADIENT:
        raise CalibrationError(
            f"the last layer did not converge in {count_noun(found.nit, 'iteration')} "
            f"({found.message}): leave the method out"
        )
    return found.x.reshape(start.shape)


def last_layer_loss(
    weights: Float[np.ndarray, "classes inputs"],
    inputs: Float[np.ndarray, "rows inputs"],
    labels: Int[np.ndarray, " rows"],
    row_weights: Float[np.ndarray, " rows"],
    start: Float[np.ndarray, "classes inputs"],
    penalty: float,
) -> tuple[float, Float[np.ndarray, "classes inputs"]]:
    """Return weighted cross-entropy + penalty * ||weights - start||^2, and its gradient.

    The logits are `inputs @ weights.T`. The row weights sum to 1.
    """
    rows = np.arange(len(labels))
    log_probabilities = log_softmax(inputs @ weights.T, axis=1)
    residuals = np.exp(log_probabilities)
    residuals[rows, labels] -= 1
    moved = weights - start
    loss = penalty * (moved**2).sum() - row_weights @ log_probabilities[rows, labels]
    return loss, (residuals * row_weights[:, None]).T @ inputs + 2 * penalty * moved
