"""The objective of group DRO against loops in float64."""

from math import exp, log

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.group_dro import (
    GroupBatch,
    GroupDroHyperparameters,
    GroupDroObjective,
    average_by_group,
    initial_log_weights,
    update_log_weights,
)
from clip_cfr.calibrate.core.head import Head
from tests.calibrate import reference
from tests.calibrate.core.train_data import make_train_data
from tests.calibrate.synthetic import unit

CLASSES, ATTRIBUTES, DIM, EMBEDDING, ROWS = 3, 2, 5, 4, 14
LABELS = (np.arange(ROWS) % CLASSES).astype(np.int32)
# No row is in group 1; group 5 has rows in the training split, but none in this minibatch.
GROUPS = np.where(LABELS == 0, 0, LABELS * ATTRIBUTES + np.arange(ROWS) % 2).astype(np.int32)
BATCH = np.array([row for row in range(ROWS) if GROUPS[row] != 5], np.int32)
STEP = 0.7


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(ROWS, DIM))
    return make_train_data(features, LABELS, unit(rng.normal(size=(CLASSES, EMBEDDING))))


@pytest.fixture(scope="module")
def head():
    rng = np.random.default_rng(4)
    weight, bias = rng.normal(size=(EMBEDDING, DIM)), rng.normal(size=EMBEDDING)
    return Head(jnp.asarray(weight, jnp.float32), jnp.asarray(bias, jnp.float32), jnp.float32(0.5))


def start() -> jax.Array:
    return initial_log_weights(np.bincount(GROUPS, minlength=CLASSES * ATTRIBUTES))


@jax.jit
def take_step(head, log_weights, data):
    batch = GroupBatch(jnp.asarray(BATCH), jnp.asarray(GROUPS[BATCH]))
    hyperparameters = GroupDroHyperparameters(jnp.float32(STEP), jnp.float32(0))
    function = jax.value_and_grad(GroupDroObjective().loss, has_aux=True)
    return function(head, log_weights, batch, data, hyperparameters, jax.random.key(0))


def reference_losses(head, data) -> list[float]:
    """Mean cross-entropy of each group in the minibatch, 0 without rows, in float64."""
    projection, scale = np.asarray(head.weight, float).T, exp(float(head.log_scale))
    texts, features = np.asarray(data.class_embeddings), np.asarray(data.features.values)
    sums, counts = [0.0] * (CLASSES * ATTRIBUTES), [0] * (CLASSES * ATTRIBUTES)
    for row in BATCH:
        vector = reference.embed(features[row], projection, head.bias)
        scores = [scale * reference.dot(vector, text) for text in texts]
        sums[GROUPS[row]] += reference.cross_entropy([scores], [LABELS[row]])
        counts[GROUPS[row]] += 1
    return [total / max(count, 1) for total, count in zip(sums, counts, strict=True)]


def reference_weights(weights, losses) -> list[float]:
    grown = [weight * exp(STEP * loss) for weight, loss in zip(weights, losses, strict=True)]
    return [each / sum(grown) for each in grown]


class TestStep:
    def test_two_steps_of_the_weights_and_the_loss(self, head, data):
        log_weights, expected = start(), [0.2, 0.0, 0.2, 0.2, 0.2, 0.2]
        losses = reference_losses(head, data)
        assert losses[1] == losses[5] == 0
        for _ in range(2):
            (loss, (log_weights, logged)), _ = take_step(head, log_weights, data)
            expected = reference_weights(expected, losses)
            assert np.exp(log_weights) == pytest.approx(np.array(expected), rel=1e-5)
            total = sum(q * each for q, each in zip(expected, losses, strict=True))
            assert loss == pytest.approx(total, rel=1e-5)
            names = [f"weight of group {index}" for index in range(CLASSES * ATTRIBUTES)]
            assert [float(logged[name]) for name in names] == pytest.approx(expected, rel=1e-5)

    def test_the_gradient_treats_the_weights_as_constants(self, head, data):
        _, gradient = take_step(head, start(), data)
        weights = reference_weights([0.2, 0, 0.2, 0.2, 0.2, 0.2], reference_losses(head, data))

        def weighted(changed) -> float:
            losses = reference_losses(changed, data)
            return sum(q * each for q, each in zip(weights, losses, strict=True))

        for name in Head._fields:
            slopes = reference.slopes(
                lambda value, name=name: weighted(head._replace(**{name: value})),
                getattr(head, name),
            )
            found = np.asarray(getattr(gradient, name))
            assert found == pytest.approx(slopes, rel=1e-3, abs=1e-4), name


class TestWeights:
    def test_a_group_without_training_rows_has_none_for_ever(self, head, data):
        log_weights = start()
        for _ in range(3):
            _, (log_weights, _) = take_step(head, log_weights, data)[0]
            assert np.exp(log_weights[1]) == 0
            assert np.exp(log_weights).sum() == pytest.approx(1, rel=1e-5)

    def test_start_equal(self):
        found = initial_log_weights(np.array([5, 0, 1]))
        assert np.asarray(found) == pytest.approx(np.array([log(0.5), -np.inf, log(0.5)]))

    def test_come_back_after_they_were_too_small_for_float32(self):
        """A weight of exp(-300) is 0 in float32; its logarithm is kept."""
        low = update_log_weights(jnp.zeros(2), jnp.array([300.0, 0.0]), 1.0)
        assert np.exp(low).tolist() == [1.0, 0.0]
        back = update_log_weights(low, jnp.array([0.0, 300.0]), 1.0)
        assert np.exp(back) == pytest.approx(np.array([0.5, 0.5]), rel=1e-3)

    def test_do_not_move_without_a_step(self):
        weights = jnp.log(jnp.array([0.25, 0.75]))
        found = update_log_weights(weights, jnp.array([9.0, 1.0]), 0.0)
        assert np.exp(found) == pytest.approx(np.array([0.25, 0.75]), rel=1e-6)


def test_an_average_is_over_the_rows_of_the_group():
    found = average_by_group(jnp.array([1.0, 2.0, 6.0]), jnp.array([2, 0, 2]), 3)
    assert found.tolist() == [2.0, 0.0, 3.5]
