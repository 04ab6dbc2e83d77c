"""The moving class centroids of dynamic positive centroid sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.centroids import compute_centroids, update_centroids
from clip_cfr.calibrate.core.embeddings import normalize
from clip_cfr.calibrate.core.head import embed
from clip_cfr.calibrate.methods.cfr import centroid_weights
from tests.calibrate import reference
from tests.calibrate.synthetic import quick_settings, unit

WEIGHTINGS = ("none", "confidence", "entropy")


def batch(rng, classes: int = 3, rows: int = 9):
    """Centroids, embeddings, labels and weights, some of them zero."""
    weights = rng.random(rows) * (rng.random(rows) < 0.7)
    return (
        unit(rng.normal(size=(classes, 4))),
        unit(rng.normal(size=(rows, 4))),
        rng.integers(classes, size=rows),
        weights,
    )


def update(centroids, embeddings, labels, weights, momentum):
    """The update, compiled."""
    sides = [normalize(jnp.asarray(np.asarray(each).T)) for each in (centroids, embeddings)]
    labels, weights = np.asarray(labels), np.asarray(weights)
    return np.asarray(jax.jit(update_centroids)(*sides, labels, weights, momentum).unit)


class TestUpdate:
    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    def test_is_the_formula(self, rng, momentum):
        args = batch(rng)
        expected = reference.moved_centroids(*args, momentum)
        assert update(*args, momentum) == pytest.approx(expected, abs=1e-5)

    def test_by_hand(self):
        """Half way from (1, 0) to (0, 1) is the diagonal; the other class stays."""
        found = update(np.eye(2), [[0.0, 1.0]], [0], [1.0], 0.5)
        assert found == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [0, 1]]))

    def test_the_size_of_equal_weights_does_not_matter(self, rng):
        centroids, embeddings, labels, _ = batch(rng)
        ones, thirds = np.ones(9), np.full(9, 1 / 3)
        expected = update(centroids, embeddings, labels, ones, 0.9)
        assert update(centroids, embeddings, labels, thirds, 0.9) == pytest.approx(
            expected, abs=1e-5
        )

    def test_a_batch_without_weight_moves_nothing(self, rng):
        centroids, embeddings, labels, _ = batch(rng)
        found = update(centroids, embeddings, labels, np.zeros(9), 0.9)
        assert found == pytest.approx(centroids, abs=1e-6)

    def test_a_class_without_a_centroid_takes_the_mean_of_its_first_rows(self):
        found = update(np.zeros((2, 2)), [[0.6, 0.8]], [1], [1.0], 0.9)
        assert found == pytest.approx(np.array([[0, 0], [0.6, 0.8]]), abs=1e-6)

    def test_opposite_rows_leave_a_finite_centroid(self):
        found = update(np.zeros((1, 2)), [[1.0, 0.0], [-1.0, 0.0]], [0, 0], [1.0, 1.0], 0.9)
        assert found.tolist() == [[0, 0]]


def test_the_first_centroids_are_means_over_all_rows_that_count(experiment, task):
    rows = task.rows("train")
    weights = centroid_weights(experiment)[rows]
    head, features = experiment.initial_head(), experiment.prepared.features
    found = compute_centroids(head, features, rows, task.labels[rows], weights, 2)
    embeddings = np.asarray(embed(head, features.gather(jnp.asarray(rows))).unit)
    expected = reference.moved_centroids(
        np.zeros((2, 12)), embeddings, task.labels[rows], weights, 0
    )
    assert np.asarray(found.unit) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("source", ["identification", "zeroshot"])
def test_only_rows_that_the_source_gets_right_count(experiment, task, weighting, source):
    own = experiment.with_settings(quick_settings(dps_weighting=weighting, dps_source=source))
    rows = task.rows("train")
    head = (
        experiment.identification_head if source == "identification" else experiment.zeroshot_head()
    )
    found = experiment.probabilities(head, rows)
    expected = [
        reference.row_weight(row, label, weighting)
        for row, label in zip(found, task.labels[rows], strict=True)
    ]
    weights = centroid_weights(own)
    assert weights[rows] == pytest.approx(np.array(expected), abs=1e-4)
    assert not np.delete(weights, rows).any()
