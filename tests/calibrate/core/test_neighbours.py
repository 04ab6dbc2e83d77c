"""Nearest rows of other classes, in the training split and inside a step, against sorting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.embeddings import normalize
from clip_cfr.calibrate.core.features import CHUNK_ROWS, Features
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.core.neighbours import find_nearest_negatives
from clip_cfr.calibrate.core.sampling import EMPTY
from clip_cfr.calibrate.core.similarities import nearest_similarities
from tests.calibrate import reference
from tests.calibrate.synthetic import unit


def sort_by_cosine(vectors, labels, anchor, rows, count):
    """Return the rows of other classes by falling cosine to the anchor."""
    others = [row for row in rows if labels[row] != labels[anchor]]
    return sorted(others, key=lambda row: -reference.dot(vectors[anchor], vectors[row]))[:count]


def search(vectors, labels, anchors, rows, count):
    features = Features(jnp.asarray(vectors, jnp.float32), jnp.float32(1))
    head = Head(jnp.eye(vectors.shape[1]), None, jnp.zeros(()))
    return find_nearest_negatives(head, features, labels, anchors, rows, count)


class TestFindNearestNegatives:
    @pytest.mark.parametrize("classes", [2, 5])
    def test_finds_the_nearest_of_other_classes_nearest_first(self, rng, classes):
        vectors, labels = unit(rng.normal(size=(60, 4))), rng.integers(classes, size=60)
        anchors, rows = np.array([3, 17, 59, 3]), np.arange(10, 60)
        expected = [sort_by_cosine(vectors, labels, anchor, rows, 7) for anchor in anchors]
        assert search(vectors, labels, anchors, rows, 7).tolist() == expected

    def test_finds_rows_across_chunks(self):
        """The nearest row of each anchor is in the last chunk, which is padded."""
        count = CHUNK_ROWS + 5
        vectors, labels = np.tile([[0.0, 1.0]], (count, 1)), np.zeros(count, int)
        labels[0], vectors[0], vectors[-1] = 1, [1, 0], [0.8, 0.6]
        vectors[7] = [0.6, 0.8]
        found = search(vectors, labels, np.array([0]), np.arange(count), 2)
        assert found.tolist() == [[count - 1, 7]]

    def test_pads_if_there_are_fewer(self, rng):
        vectors, labels = unit(rng.normal(size=(6, 4))), np.array([0, 1, 0, 0, 1, 0])
        found = search(vectors, labels, np.array([0, 1]), np.arange(6), 5)
        assert sorted(found[0]) == [EMPTY, EMPTY, EMPTY, 1, 4]
        assert sorted(found[1]) == [EMPTY, 0, 2, 3, 5]

    def test_never_finds_the_padding_of_a_chunk(self, rng):
        """A chunk is padded with its own rows; no row may be found twice."""
        vectors, labels = unit(rng.normal(size=(9, 4))), np.arange(9) % 2
        found = search(vectors, labels, np.array([0]), np.arange(9), 8)[0]
        assert sorted(found) == [EMPTY] * 4 + [1, 3, 5, 7]


def scaled_embeddings(vectors):
    """Return embeddings of vectors that are three times too long."""
    return normalize(jnp.asarray(3 * vectors.T, jnp.float32))


class TestNearestSimilarities:
    @pytest.mark.parametrize("count", [3, 50])
    def test_are_those_of_the_nearest_of_other_classes(self, rng, count):
        anchors, pool = unit(rng.normal(size=(4, 3))), unit(rng.normal(size=(12, 3)))
        labels, pool_labels = rng.integers(3, size=4), rng.integers(3, size=12)
        sides = (scaled_embeddings(anchors), labels, scaled_embeddings(pool), pool_labels)
        found, mask = jax.jit(nearest_similarities, static_argnums=4)(*sides, count)
        for index, anchor in enumerate(anchors):
            expected = reference.nearest(anchor, labels[index], pool, pool_labels, count)
            assert np.asarray(found)[index][mask[index]] == pytest.approx(expected, abs=1e-6)

    def test_are_masked_out_without_another_class(self, rng):
        side = scaled_embeddings(rng.normal(size=(4, 3))), np.zeros(4, int)
        _, mask = jax.jit(nearest_similarities, static_argnums=4)(*side, *side, 3)
        assert not mask.any()
