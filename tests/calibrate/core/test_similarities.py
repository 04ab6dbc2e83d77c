"""Which similarities a step compares, and which of them count."""

import jax.numpy as jnp

from clip_cfr.calibrate.core.embeddings import normalize
from clip_cfr.calibrate.core.similarities import (
    add_where_few,
    centroid_similarities,
    other_class_similarities,
    pool_similarities,
)

ANCHORS = normalize(jnp.array([[2.0, 0.0], [0.6, 0.8]]).T)


def test_a_centroid_is_that_of_the_anchor_s_class():
    centroids = normalize(jnp.array([[0.0, 1.0], [5.0, 0.0]]).T)
    found, mask = centroid_similarities(ANCHORS, jnp.array([1, 0]), centroids)
    assert jnp.allclose(found, jnp.array([[1], [0.8]]))
    assert mask.tolist() == [[True], [True]]


def test_a_centroid_of_zeros_does_not_count():
    centroids = normalize(jnp.array([[0.0, 0.0], [1.0, 0.0]]).T)
    _, mask = centroid_similarities(ANCHORS, jnp.array([1, 0]), centroids)
    assert mask.tolist() == [[True], [False]]


def test_slots_name_rows_of_the_pool_and_empty_ones_do_not_count():
    pool = normalize(jnp.array([[1.0, 0.0], [0.0, 3.0]]).T)
    found, mask = pool_similarities(ANCHORS, pool, jnp.array([[[1, 0], [0, -1]]]))
    assert mask.tolist() == [[True, True], [True, False]]
    assert jnp.allclose(found[mask], jnp.array([0, 1, 0.6]))


def test_slots_of_a_part_name_rows_of_that_part():
    pool = normalize(jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]).T)
    found, mask = pool_similarities(ANCHORS, pool, jnp.array([[[1, 0]], [[0, 1]]]))
    assert mask.all()
    assert jnp.allclose(found, jnp.array([[0, 1], [-0.6, -0.8]]))


def test_rows_of_the_anchor_s_class_do_not_count():
    candidates = normalize(jnp.array([[1.0, 0.0], [0.0, 1.0]]).T)
    found, mask = other_class_similarities(
        ANCHORS, jnp.array([0, 1]), candidates, jnp.array([1, 1])
    )
    assert jnp.allclose(found, jnp.array([[1, 0], [0.6, 0.8]]))
    assert mask.tolist() == [[True, True], [False, False]]


def test_similarities_are_added_for_anchors_that_have_few():
    first = jnp.zeros((2, 2)), jnp.array([[True, True], [True, False]])
    more = jnp.ones((2, 2)), jnp.array([[True, True], [True, False]])
    found, mask = add_where_few(first, more, 2)
    assert found.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]
    assert mask.tolist() == [[True, True, False, False], [True, False, True, False]]
