"""Nearest negatives, over the whole training split and inside a step, against sorting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.embeddings import of_unit_length
from clip_cfr.calibrate.core.head import CHUNK, Features, Head
from clip_cfr.calibrate.core.neighbours import nearest_negatives
from clip_cfr.calibrate.core.sampling import NONE
from clip_cfr.calibrate.core.similarities import with_nearest
from tests.calibrate import reference
from tests.calibrate.synthetic import unit


def nearest_rows(vectors, labels, anchor, rows, count):
    """Rows of other classes by falling cosine to the anchor."""
    others = [row for row in rows if labels[row] != labels[anchor]]
    return sorted(others, key=lambda row: -reference.dot(vectors[anchor], vectors[row]))[:count]


def search(vectors, labels, anchors, rows, count):
    features = Features(jnp.asarray(vectors, jnp.float32), jnp.float32(1))
    head = Head(jnp.eye(vectors.shape[1]), None, jnp.zeros(()))
    return nearest_negatives(head, features, labels, anchors, rows, count)


class TestOverAllRows:
    @pytest.mark.parametrize("classes", [2, 5])
    def test_are_the_nearest_of_other_classes_nearest_first(self, rng, classes):
        vectors, labels = unit(rng.normal(size=(60, 4))), rng.integers(classes, size=60)
        anchors, rows = np.array([3, 17, 59, 3]), np.arange(10, 60)
        expected = [nearest_rows(vectors, labels, anchor, rows, 7) for anchor in anchors]
        assert search(vectors, labels, anchors, rows, 7).tolist() == expected

    def test_are_found_across_chunks(self, rng):
        """The nearest row of each anchor lies in the last, partly filled chunk."""
        count = CHUNK + 5
        vectors, labels = np.tile([[0.0, 1.0]], (count, 1)), np.zeros(count, int)
        labels[0], vectors[0], vectors[-1] = 1, [1, 0], [0.8, 0.6]
        vectors[7] = [0.6, 0.8]
        found = search(vectors, labels, np.array([0]), np.arange(count), 2)
        assert found.tolist() == [[count - 1, 7]]

    def test_where_there_are_fewer_the_rest_is_empty(self, rng):
        vectors, labels = unit(rng.normal(size=(6, 4))), np.array([0, 1, 0, 0, 1, 0])
        found = search(vectors, labels, np.array([0, 1]), np.arange(6), 5)
        assert sorted(found[0]) == [NONE, NONE, NONE, 1, 4]
        assert sorted(found[1]) == [NONE, 0, 2, 3, 5]

    def test_are_never_the_filling_of_a_chunk(self, rng):
        """A chunk repeats its rows to be full: no row may be found twice."""
        vectors, labels = unit(rng.normal(size=(9, 4))), np.arange(9) % 2
        found = search(vectors, labels, np.array([0]), np.arange(9), 8)[0]
        assert sorted(found) == [NONE] * 4 + [1, 3, 5, 7]


def directions(vectors):
    """Embeddings that know the vectors by their direction alone."""
    return of_unit_length(jnp.asarray(3 * vectors, jnp.float32))


class TestInsideAStep:
    @pytest.mark.parametrize("count", [3, 50])
    def test_are_the_nearest_of_other_classes(self, rng, count):
        anchors, pool = unit(rng.normal(size=(4, 3))), unit(rng.normal(size=(12, 3)))
        labels, pool_labels = rng.integers(3, size=4), rng.integers(3, size=12)
        sides = (directions(anchors), labels, directions(pool), pool_labels)
        found, mask = jax.jit(with_nearest, static_argnums=4)(*sides, count)
        for place, anchor in enumerate(anchors):
            expected = reference.nearest(anchor, labels[place], pool, pool_labels, count)
            assert np.asarray(found)[place][mask[place]] == pytest.approx(expected, abs=1e-6)

    def test_without_another_class_none_counts(self, rng):
        side = directions(rng.normal(size=(4, 3))), np.zeros(4, int)
        _, mask = jax.jit(with_nearest, static_argnums=4)(*side, *side, 3)
        assert not mask.any()
