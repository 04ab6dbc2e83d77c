"""The adapter of embeddings and the objective of the contrastive adapter, against float64 loops."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.contrastive_adapter import (
    AdapterBatch,
    AdapterHyperparameters,
    ContrastiveAdapterObjective,
)
from clip_cfr.calibrate.core.head import AdapterHead, Head, decayed_leaves, embed
from tests.calibrate import reference
from tests.calibrate.core.train_data import make_train_data
from tests.calibrate.synthetic import unit

CLASSES, DIM, EMBEDDING, HIDDEN, ROWS = 3, 5, 4, 6, 16
LABELS = (np.arange(ROWS) * 7 % CLASSES).astype(np.int32)
CORRECT = np.arange(ROWS) % 4 > 0
ANCHORS, TRAINING = np.array([0, 4, 8], np.int32), np.arange(5, 15, dtype=np.int32)
TEMPERATURE, NEGATIVES = 0.3, 3


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(ROWS, DIM))
    return make_train_data(features, LABELS, unit(rng.normal(size=(CLASSES, EMBEDDING))))


@pytest.fixture(scope="module")
def head():
    rng = np.random.default_rng(4)

    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    frozen = Head(draw(EMBEDDING, DIM), draw(EMBEDDING), jnp.float32(9))
    return AdapterHead(frozen, draw(HIDDEN, EMBEDDING), draw(EMBEDDING, HIDDEN), jnp.float32(0.5))


def frozen_vectors(head, data):
    """Return a function that embeds a row with the frozen head, in float64."""
    projection = np.asarray(head.frozen.weight, float).T
    features = np.asarray(data.features.values)
    return cache(lambda row: reference.embed(features[row], projection, head.frozen.bias))


def adapted_vectors(head, data):
    """Return a function that embeds a row and adapts the embedding, entry by entry in float64."""
    frozen = frozen_vectors(head, data)
    down, up = np.asarray(head.down, float), np.asarray(head.up, float)

    @cache
    def adapted(row):
        vector = frozen(row)
        hidden = [max(0.0, reference.dot(each, vector)) for each in down]
        added = [reference.dot(each, hidden) for each in up]
        return reference.unit([v + a for v, a in zip(vector, added, strict=True)])

    return adapted


class TestAdapter:
    def test_is_the_formula(self, head, data):
        found = embed(head, data.features.gather(jnp.arange(ROWS))).unit
        expected = [adapted_vectors(head, data)(row) for row in range(ROWS)]
        assert np.asarray(found) == pytest.approx(np.array(expected), abs=1e-5)

    def test_is_the_identity_if_its_second_layer_is_zero(self, head, data):
        still, features = head._replace(up=jnp.zeros_like(head.up)), data.features.values
        found, expected = embed(still, features).unit, embed(head.frozen, features).unit
        assert np.asarray(found) == pytest.approx(np.asarray(expected), abs=1e-6)

    def test_the_frozen_head_gets_neither_gradient_nor_decay(self, head, data):
        slopes = jax.grad(lambda each: embed(each, data.features.values).unit.sum())(head)
        assert all((leaf == 0).all() for leaf in jax.tree.leaves(slopes.frozen))
        assert (slopes.down != 0).any()
        assert (slopes.up != 0).any()
        frozen = Head(weight=False, bias=False, log_scale=False)
        assert decayed_leaves(head) == AdapterHead(frozen, down=True, up=True, log_scale=False)
        assert decayed_leaves(head.frozen) == Head(weight=True, bias=True, log_scale=False)


def reference_terms(head, data) -> tuple[float, float]:
    """Return the contrastive loss and the cross-entropy of the minibatch in float64."""
    vector, frozen = adapted_vectors(head, data), frozen_vectors(head, data)
    texts, scale = np.asarray(data.class_embeddings, float), np.exp(float(head.log_scale))
    positives, negatives = [], []
    for anchor in ANCHORS:
        own = [row for row in TRAINING if LABELS[row] == LABELS[anchor] and CORRECT[row]]
        others = [row for row in TRAINING if LABELS[row] != LABELS[anchor]]
        others.sort(key=lambda row: -reference.dot(frozen(anchor), frozen(row)))
        positives.append([reference.dot(vector(anchor), vector(row)) for row in own])
        chosen = others[:NEGATIVES]
        negatives.append([reference.dot(vector(anchor), vector(row)) for row in chosen])
    rows = [*ANCHORS, *TRAINING]
    scores = [[scale * reference.dot(vector(row), text) for text in texts] for row in rows]
    entropy = reference.cross_entropy(scores, [LABELS[row] for row in rows])
    return reference.contrastive(positives, negatives, TEMPERATURE), entropy


@jax.jit
def evaluate(head, data):
    batch = AdapterBatch(jnp.asarray(ANCHORS), jnp.asarray(TRAINING))
    hyperparameters = AdapterHyperparameters(
        jnp.float32(TEMPERATURE), jnp.float32(0), jnp.asarray(CORRECT)
    )
    function = jax.value_and_grad(ContrastiveAdapterObjective(NEGATIVES).loss, has_aux=True)
    return function(head, None, batch, data, hyperparameters, jax.random.key(0))


def test_terms_of_the_contrastive_adapter(head, data):
    (loss, (_, logged)), _ = evaluate(head, data)
    contrastive, entropy = reference_terms(head, data)
    assert contrastive > 0
    assert float(logged["contrastive"]) == pytest.approx(contrastive, rel=1e-4)
    assert float(logged["cross_entropy"]) == pytest.approx(entropy, rel=1e-4)
    assert float(loss) == pytest.approx(contrastive + entropy, rel=1e-4)


def test_gradient_of_the_contrastive_adapter(head, data):
    """The ranking of negatives is constant, as the frozen embeddings are."""
    _, gradient = evaluate(head, data)
    for name in ("down", "up", "log_scale"):
        slopes = reference.slopes(
            lambda value, name=name: sum(reference_terms(head._replace(**{name: value}), data)),
            getattr(head, name),
        )
        found = np.asarray(getattr(gradient, name))
        assert found == pytest.approx(slopes, rel=1e-3, abs=1e-4), name
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradient.frozen))
