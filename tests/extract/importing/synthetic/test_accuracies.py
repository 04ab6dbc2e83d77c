"""The known accuracies, against special cases in closed form and against drawn rows."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from clip_cfr.extract.importing.synthetic.accuracies import (
    compute_accuracies,
    optimal_accuracy,
    train_bayes_accuracy,
    zeroshot_accuracy,
)
from clip_cfr.extract.importing.synthetic.draw import SyntheticArrays, draw_synthetic
from clip_cfr.extract.importing.synthetic.world import SyntheticWorld
from tests.extract.importing.synthetic.worlds import (
    group_accuracies,
    large_world,
    standard_error,
)

CORRELATED = large_world(correlation=0.9, text_lean=0.6)
GRID = np.linspace(-12, 12, 20_001)


@pytest.fixture(scope="module")
def correlated() -> SyntheticArrays:
    return draw_synthetic(CORRELATED)


def features_of_test(arrays: SyntheticArrays) -> np.ndarray:
    return arrays.features[arrays.splits == 2].astype(np.float64)


@pytest.mark.parametrize("distance", [0.1, 1.0, 3.0, 20.0])
def test_the_optimum_of_two_classes_is_that_of_two_gaussians(distance):
    assert optimal_accuracy(2, distance) == pytest.approx(norm.cdf(distance / 2), abs=1e-12)


@pytest.mark.parametrize(("num_classes", "distance"), [(3, 0.1), (10, 3.0), (1000, 5.0)])
def test_the_optimum_of_more_classes_is_the_integral(num_classes, distance):
    density = norm.pdf(GRID) * norm.cdf(GRID + distance / np.sqrt(2)) ** (num_classes - 1)
    expected = np.trapezoid(density, GRID)
    assert optimal_accuracy(num_classes, distance) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_linear_classifier_fitted_on_equal_groups_reaches_the_optimum(num_classes):
    world = large_world(
        num_classes=num_classes, num_attributes=num_classes, correlation=1 / num_classes
    )
    arrays = draw_synthetic(world)
    train = arrays.splits == 0
    model = LinearDiscriminantAnalysis().fit(arrays.features[train], arrays.labels[train])
    found = group_accuracies(arrays, model.predict(features_of_test(arrays)))
    optimum = compute_accuracies(world).optimal
    assert len(found) == num_classes**2
    np.testing.assert_allclose(found, optimum, atol=4 * standard_error(world, optimum))


def test_a_head_without_bias_reaches_the_optimum_through_normalized_embeddings(correlated):
    """The projection W = sum_k e_k e_k^T, with the class embeddings that lean on the attribute."""
    directions = correlated.class_directions
    embeddings = features_of_test(correlated) @ directions.T @ directions
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    predicted = (100 * embeddings @ correlated.class_embeddings.T).argmax(axis=1)
    nearest = (features_of_test(correlated) @ directions.T).argmax(axis=1)
    np.testing.assert_array_equal(predicted, nearest)
    optimum = compute_accuracies(CORRELATED).optimal
    tolerance = 4 * standard_error(CORRELATED, optimum)
    np.testing.assert_allclose(group_accuracies(correlated, predicted), optimum, atol=tolerance)


def test_zero_shot_has_its_known_worst_group(correlated):
    expected = compute_accuracies(CORRELATED).zeroshot
    logits = features_of_test(correlated) @ correlated.class_embeddings.T
    found = group_accuracies(correlated, logits.argmax(axis=1)).min()
    assert found == pytest.approx(expected, abs=4 * standard_error(CORRELATED, expected))
    assert expected < compute_accuracies(CORRELATED).optimal - 0.2


def test_the_bayes_classifier_of_the_training_rows_has_its_known_worst_group(correlated):
    """It compares the mixtures of Gaussians of both classes, weighted as in training."""
    rows, e, f = (
        features_of_test(correlated),
        correlated.class_directions,
        correlated.attribute_directions,
    )
    means = (3 * e[:, None] + 4 * f[None]) / np.sqrt(2)
    distances = ((rows[:, None, None] - means) ** 2).sum(axis=-1)
    weights = np.array([[0.9, 0.1], [0.1, 0.9]])
    predicted = logsumexp(-distances / 2, axis=2, b=weights).argmax(axis=1)
    expected = compute_accuracies(CORRELATED).train_bayes
    found = group_accuracies(correlated, predicted).min()
    assert found == pytest.approx(expected, abs=4 * standard_error(CORRELATED, expected))


def test_without_a_correlation_or_an_attribute_training_rows_lead_to_the_optimum():
    optimum = norm.cdf(1.5)
    assert train_bayes_accuracy(3.0, 4.0, 0.5) == pytest.approx(optimum, abs=1e-10)
    assert train_bayes_accuracy(3.0, 0.0, 0.99) == pytest.approx(optimum, abs=1e-10)
    assert zeroshot_accuracy(3.0, 4.0, 0.0) == pytest.approx(optimum, abs=1e-12)


@pytest.mark.parametrize("correlation", [0.0, 1.0])
def test_a_perfect_correlation_makes_the_attribute_a_second_class_signal(correlation):
    expected = norm.cdf((9 - 16) / (2 * np.sqrt(9 + 16)))
    assert train_bayes_accuracy(3.0, 4.0, correlation) == pytest.approx(expected, abs=1e-10)


def test_accuracies_without_a_closed_form_are_none():
    three = compute_accuracies(SyntheticWorld(num_attributes=3))
    assert three.train_bayes is None
    assert three.zeroshot == compute_accuracies(SyntheticWorld()).zeroshot
    more = compute_accuracies(SyntheticWorld(num_classes=3)).to_json()
    assert more == {"optimal": more["optimal"], "train_bayes": None, "zeroshot": None}
