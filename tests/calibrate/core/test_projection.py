"""The projection in both precisions, against float64 products of rounded operands."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.projection import project

PRECISIONS = ("float32", "bfloat16")


def rounded(values, precision):
    """Return values rounded to a precision, in float64."""
    return np.asarray(jnp.asarray(values).astype(precision), np.float64)


@pytest.fixture
def weight(rng):
    return jnp.asarray(rng.normal(size=(6, 40)), jnp.float32)


@pytest.fixture
def features(rng):
    return jnp.asarray(rng.normal(size=(9, 40)), jnp.float32)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_sums_products_of_rounded_operands_in_float32(weight, features, precision):
    found = jax.jit(project, static_argnums=2)(weight, features, precision)
    high = rounded(weight, precision)
    split = high + rounded(weight - high, precision)
    expected = split @ rounded(features, precision).T
    assert found.dtype == jnp.float32
    assert np.asarray(found) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_small_steps_of_the_weight_are_seen_in_bfloat16(features):
    """A step of 2^-12 of the weight, which bfloat16 alone would round away."""
    weights = jnp.ones((1, 40)), jnp.full((1, 40), 1 + 2.0**-12)
    before, after = (project(each, features, "bfloat16") for each in weights)
    assert np.asarray(after / before) == pytest.approx(1 + 2.0**-12, abs=2.0**-15)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_gradient_is_the_product_of_rounded_operands(rng, weight, features, precision):
    gradient = jnp.asarray(rng.normal(size=(6, 9)), jnp.float32)
    _, pullback = jax.vjp(lambda weight: project(weight, features, precision), weight)
    [found] = pullback(gradient)
    expected = rounded(gradient, precision) @ rounded(features, precision)
    assert found.dtype == jnp.float32
    assert np.asarray(found) == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_stacked_heads_give_the_projections_of_each(rng, features, precision):
    weights = jnp.asarray(rng.normal(size=(3, 6, 40)), jnp.float32)
    found = jax.vmap(lambda weight: project(weight, features, precision))(weights)
    expected = [project(weight, features, precision) for weight in weights]
    assert np.asarray(found) == pytest.approx(np.stack(expected), rel=1e-5, abs=1e-5)
