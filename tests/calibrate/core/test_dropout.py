"""Dropout: its share, its mean, and that its entries know nothing of each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.dropout import dropout
from clip_cfr.calibrate.core.embeddings import Embeddings, normalize

SHAPE = (400, 256)
RATES = [0.1, 0.5, 0.99]


def of_ones(key, rate: float):
    """Ones after dropout."""
    ones = Embeddings(jnp.ones(SHAPE[::-1]), jnp.ones(SHAPE[0]))
    return np.asarray(dropout(key, ones, jnp.float32(rate)).unit)


def dropped(seed: int, rate: float):
    """Which entries are dropped, as numbers."""
    return (of_ones(jax.random.key(seed), rate) == 0).astype(float)


@pytest.mark.parametrize("rate", RATES)
def test_drops_the_share_and_keeps_the_mean(rate):
    found = of_ones(jax.random.key(1), rate)
    assert np.mean(found == 0) == pytest.approx(rate, abs=0.006)
    assert np.unique(found[found != 0]) == pytest.approx([1 / (1 - rate)], rel=1e-5)


def test_of_zero_changes_nothing(rng):
    embeddings = normalize(jnp.asarray(rng.normal(size=(40, 50))))
    found = dropout(jax.random.key(1), embeddings, jnp.float32(0))
    assert (found.unit == embeddings.unit).all()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_and_columns_lose_as_many_as_chance_would_have_it(rate, axis):
    counts = np.concatenate([dropped(seed, rate).sum(axis=axis) for seed in range(20)])
    expected = SHAPE[axis] * rate * (1 - rate)
    assert counts.var() == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (1, 1), (0, 7), (128, 0)])
def test_neighbours_are_independent(rate, shift):
    mask = dropped(3, rate) - rate
    product = np.mean(mask * np.roll(mask, shift, axis=(0, 1)))
    assert abs(product) < 5 * rate * (1 - rate) / np.sqrt(mask.size)


@pytest.mark.parametrize("rate", RATES)
def test_steps_are_independent(rate):
    """The keys of a stage are one key folded with the number of the step."""
    stage = jax.random.key(0)
    keys = [jax.random.fold_in(stage, number) for number in range(30)]
    found = [of_ones(key, rate).reshape(-1) == 0 for key in keys]
    correlations = np.corrcoef(np.asarray(found, float))[np.triu_indices(30, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(np.prod(SHAPE))
