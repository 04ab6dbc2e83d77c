"""The last layer near given weights: against loops, scikit-learn and finite differences."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.linear_model import LogisticRegression

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.methods import last_layer
from clip_cfr.calibrate.methods.last_layer import fit_last_layer, last_layer_loss


def make_problem(rng, classes):
    """Inputs, labels, row weights and start of a problem with overlapping classes."""
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=60)]).astype(np.int32)
    inputs = rng.normal(size=(len(labels), 5)) + 2 * np.eye(5)[labels % 5]
    row_weights = rng.random(len(labels))
    return inputs, labels, row_weights / row_weights.sum(), rng.normal(size=(classes, 5))


def loss_by_loops(weights, inputs, labels, row_weights, start, penalty):
    total = penalty * sum(
        (weights[c, d] - start[c, d]) ** 2 for c in range(len(start)) for d in range(5)
    )
    for row, label, row_weight in zip(inputs, labels, row_weights, strict=True):
        logits = [sum(w * x for w, x in zip(each, row, strict=True)) for each in weights]
        total += row_weight * (np.log(sum(np.exp(logits))) - logits[label])
    return total


@pytest.mark.parametrize("classes", [2, 4])
def test_loss_and_gradient_are_those_of_loops(rng, classes):
    inputs, labels, row_weights, start = make_problem(rng, classes)
    weights = rng.normal(size=start.shape)
    rest = (inputs, labels, row_weights, start, 0.3)
    loss, gradient = last_layer_loss(weights, *rest)
    assert loss == pytest.approx(loss_by_loops(weights, *rest), rel=1e-10)
    slopes = approx_fprime(
        weights.ravel(), lambda flat: loss_by_loops(flat.reshape(start.shape), *rest), 1e-6
    )
    assert gradient.ravel() == pytest.approx(slopes, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_from_zero_it_is_scikit_learn_s_weighted_logistic_regression(rng, classes):
    inputs, labels, row_weights, start = make_problem(rng, classes)
    penalty = 0.02
    # With two classes, scikit-learn has one vector, the difference of ours, at half the penalty.
    strength = 1 / (penalty if classes == 2 else 2 * penalty)
    model = LogisticRegression(C=strength, fit_intercept=False, tol=1e-10, max_iter=10_000)
    model.fit(inputs, labels, sample_weight=row_weights)
    found = fit_last_layer(inputs, labels, row_weights, np.zeros_like(start), penalty)
    expected = np.concatenate([-model.coef_, model.coef_]) / 2 if classes == 2 else model.coef_
    assert found == pytest.approx(expected, abs=1e-4)


def test_at_the_optimum_the_gradient_is_zero(rng):
    inputs, labels, row_weights, start = make_problem(rng, 3)
    found = fit_last_layer(inputs, labels, row_weights, start, 0.05)
    _, gradient = last_layer_loss(found, inputs, labels, row_weights, start, 0.05)
    assert np.abs(gradient).max() < 2e-6
    assert np.abs(found - start).max() > 0.1


def test_an_infinite_penalty_keeps_the_start(rng):
    inputs, labels, row_weights, start = make_problem(rng, 3)
    found = fit_last_layer(inputs, labels, row_weights, start, 1e9)
    assert found == pytest.approx(start, abs=1e-8)


def test_classes_that_separate_converge_without_a_penalty(rng):
    labels = np.repeat(np.arange(2), 20).astype(np.int32)
    inputs = rng.normal(size=(40, 5)) + 20 * (2 * labels[:, None] - 1)
    found = fit_last_layer(inputs, labels, np.full(40, 1 / 40), np.zeros((2, 5)), 0.0)
    assert ((inputs @ found.T).argmax(axis=1) == labels).all()


def test_a_solver_that_gives_up_is_named(rng, monkeypatch):
    monkeypatch.setattr(last_layer, "MAX_ITERATIONS", 1)
    with pytest.raises(CalibrationError, match="the last layer did not converge in 1 iteration "):
        fit_last_layer(*make_problem(rng, 3), 1e-6)
