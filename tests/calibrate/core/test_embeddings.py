"""Unit length, products and sums of embeddings, and what has no direction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from clip_cfr.calibrate.core.embeddings import normalize
from tests.calibrate.synthetic import unit


def unit_vectors(vectors):
    """Vectors of unit length."""
    return normalize(vectors.T).unit


class TestUnitLength:
    def test_gives_unit_length(self, rng):
        vectors = rng.normal(size=(5, 3)) * np.array([[1e-6], [1e-3], [1], [1e3], [1e6]])
        lengths = np.linalg.norm(jax.jit(unit_vectors)(vectors), axis=1)
        assert lengths == pytest.approx(np.ones(5), rel=1e-5)

    def test_gradients(self, rng):
        vectors = np.float32(rng.normal(size=(3, 4)))
        tolerances = {"eps": 1e-2, "atol": 1e-2, "rtol": 1e-2}
        check_grads(jax.jit(unit_vectors), (vectors,), order=1, modes=["rev"], **tolerances)

    def test_a_zero_vector_stays_zero_with_a_zero_gradient(self):
        function = jax.jit(jax.value_and_grad(lambda v: unit_vectors(v).sum()))
        value, gradient = function(np.zeros((1, 3), np.float32))
        assert float(value) == 0
        assert gradient.tolist() == [[0, 0, 0]]


class TestEmbeddings:
    def test_products_are_those_of_the_unit_vectors(self, rng):
        vectors, others = rng.normal(size=(5, 3)) * 7, rng.normal(size=(4, 3))
        found = normalize(jnp.asarray(vectors.T)).dot(jnp.asarray(others))
        assert np.asarray(found) == pytest.approx(unit(vectors) @ others.T, rel=1e-4, abs=1e-6)

    def test_sums_are_those_of_the_unit_vectors(self, rng):
        vectors, weights = rng.normal(size=(5, 3)) * 7, rng.normal(size=(5, 2))
        found = normalize(jnp.asarray(vectors.T)).weighted_sums(jnp.asarray(weights))
        assert pytest.approx(weights.T @ unit(vectors), rel=1e-4, abs=1e-6) == np.asarray(found).T

    def test_gradients_of_products_reach_through_the_lengths(self, rng):
        """A vector may not gain by growing: the gradient stands at right angles to it."""
        vectors, others = (jnp.asarray(rng.normal(size=(4, 3)), jnp.float32) for _ in range(2))
        gradient = jax.jit(jax.grad(lambda v: (normalize(v.T).dot(others) ** 3).sum()))
        assert np.sum(gradient(vectors) * vectors, axis=1) == pytest.approx(np.zeros(4), abs=1e-5)
