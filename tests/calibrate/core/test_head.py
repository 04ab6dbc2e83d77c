"""Embeddings and logits of a head, and the chunks in which many rows are processed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.embeddings import normalize
from clip_cfr.calibrate.core.features import CHUNK_ROWS, Features
from clip_cfr.calibrate.core.head import Head, embed, embed_in_chunks, logits, predict
from tests.calibrate import reference
from tests.calibrate.synthetic import unit


@pytest.mark.parametrize("with_bias", [False, True])
def test_embeddings_are_normalized_projections(rng, with_bias):
    features, projection = rng.normal(size=(6, 5)), rng.normal(size=(5, 4))
    bias = rng.normal(size=4) if with_bias else None
    expected = [reference.embed(row, projection, bias) for row in features]
    found = jax.jit(embed)(Head(projection.T, bias, np.float32(0)), features).unit
    assert np.asarray(found) == pytest.approx(np.array(expected), abs=1e-6)


def test_logits_are_scaled_cosines():
    head = Head(jnp.eye(2), None, jnp.log(jnp.float32(5)))
    found = logits(head, normalize(jnp.array([[6.0], [8.0]])), jnp.eye(2))
    assert found[0].tolist() == pytest.approx([3, 4])


@pytest.mark.parametrize("with_bias", [False, True])
def test_the_predicted_class_has_the_highest_logit(rng, with_bias):
    bias = jnp.asarray(rng.normal(size=4)) if with_bias else None
    head = Head(jnp.asarray(rng.normal(size=(4, 5))), bias, jnp.zeros(()))
    features = jnp.asarray(rng.normal(size=(200, 5)))
    classes = jnp.asarray(unit(rng.normal(size=(3, 4))))
    expected = logits(head, embed(head, features), classes).argmax(axis=1)
    assert predict(head, features, classes).tolist() == expected.tolist()


def test_a_zero_row_has_zero_gradients():
    head = Head(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(()))
    gradient = jax.jit(jax.grad(lambda head: embed(head, jnp.zeros((1, 2))).unit.sum()))(head)
    assert not gradient.bias.any()
    assert not gradient.weight.any()


@pytest.mark.parametrize("count", [1, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_chunks_cover_every_row_once_and_in_order(rng, count):
    values = unit(rng.normal(size=(50, 3)))
    features = Features(jnp.asarray(values, jnp.float32), jnp.float32(1))
    head, rows = Head(jnp.eye(3), None, jnp.zeros(())), rng.integers(50, size=count)
    chunks = list(embed_in_chunks(head, features, rows))
    assert np.concatenate([each for _, each in chunks]) == pytest.approx(values[rows], abs=1e-6)
    covered = np.concatenate([np.arange(count)[chunk] for chunk, _ in chunks])
    assert covered.tolist() == list(range(count))
