"""Which similarities a step compares, and which of them count."""

import jax.numpy as jnp

from clip_cfr.calibrate.core.embeddings import of_unit_length
from clip_cfr.calibrate.core.similarities import with_centroids, with_slots

ANCHORS = of_unit_length(jnp.array([[2.0, 0.0], [0.6, 0.8]]))


def test_a_centroid_is_that_of_the_anchor_s_class():
    centroids = of_unit_length(jnp.array([[0.0, 1.0], [5.0, 0.0]]))
    found, mask = with_centroids(ANCHORS, jnp.array([1, 0]), centroids)
    assert jnp.allclose(found, jnp.array([[1], [0.8]]))
    assert mask.tolist() == [[True], [True]]


def test_a_centroid_of_zeros_does_not_count():
    centroids = of_unit_length(jnp.array([[0.0, 0.0], [1.0, 0.0]]))
    _, mask = with_centroids(ANCHORS, jnp.array([1, 0]), centroids)
    assert mask.tolist() == [[True], [False]]


def test_slots_name_rows_of_the_pool_and_empty_ones_do_not_count():
    pool = of_unit_length(jnp.array([[1.0, 0.0], [0.0, 3.0]]))
    found, mask = with_slots(ANCHORS, pool, jnp.array([[[1, 0], [0, -1]]]))
    assert mask.tolist() == [[True, True], [True, False]]
    assert jnp.allclose(found[mask], jnp.array([0, 1, 0.6]))


def test_slots_of_a_part_name_rows_of_that_part():
    pool = of_unit_length(jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]))
    found, mask = with_slots(ANCHORS, pool, jnp.array([[[1, 0]], [[0, 1]]]))
    assert mask.all()
    assert jnp.allclose(found, jnp.array([[0, 1], [-0.6, -0.8]]))
