"""The head's embeddings and logits, and the units that it trains in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.embeddings import of_unit_length
from clip_cfr.calibrate.core.experiment import Experiment, prepare
from clip_cfr.calibrate.core.head import (
    CHUNK,
    Features,
    Head,
    all_logits,
    arrays_of,
    clip_head,
    embed,
    embedded_chunks,
    logits,
    measure_units,
    on_device,
)
from tests.calibrate import reference
from tests.calibrate.synthetic import make_task, quick_settings, unit


def expected_probabilities(task, arrays, rows):
    """Softmax of scale * v.t in float64, from arrays in the units of the cache."""
    bias = arrays.get("bias")
    features = task.features[rows].astype(float)
    vectors = np.stack([reference.embed(row, arrays["projection"], bias) for row in features])
    scores = arrays["logit_scale"] * vectors @ task.class_embeddings.T
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


class TestEmbed:
    @pytest.mark.parametrize("with_bias", [False, True])
    def test_is_the_formula(self, rng, with_bias):
        features, projection = rng.normal(size=(6, 5)), rng.normal(size=(5, 4))
        bias = rng.normal(size=4) if with_bias else None
        expected = [reference.embed(row, projection, bias) for row in features]
        found = jax.jit(embed)(Head(projection.T, bias, 0.0), features).unit
        assert np.asarray(found) == pytest.approx(np.array(expected), abs=1e-6)

    def test_logits_are_scaled_cosines(self):
        head = Head(jnp.eye(2), None, jnp.log(jnp.float32(5)))
        found = logits(head, of_unit_length(jnp.array([[6.0, 8.0]])), jnp.eye(2))
        assert found[0].tolist() == pytest.approx([3, 4])

    @pytest.mark.parametrize("count", [1, CHUNK - 1, CHUNK, CHUNK + 1])
    def test_chunks_hold_every_row_once_and_in_order(self, rng, count):
        values = unit(rng.normal(size=(50, 3)))
        features = Features(jnp.asarray(values), jnp.float32(1))
        head, rows = Head(jnp.eye(3), None, jnp.zeros(())), rng.integers(50, size=count)
        chunks = list(embedded_chunks(head, features, rows))
        found = np.concatenate([part for _, part in chunks])
        assert found == pytest.approx(values[rows], abs=1e-6)
        assert np.concatenate([np.arange(count)[place] for place, _ in chunks]).tolist() == list(
            range(count)
        )

    def test_a_row_of_zeros_gives_zero_gradients(self):
        head = Head(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(()))
        gradient = jax.jit(jax.grad(lambda head: embed(head, jnp.zeros((1, 2))).unit.sum()))(head)
        assert not gradient.bias.any()
        assert not gradient.weight.any()


@pytest.mark.parametrize("bias", [False, True])
class TestUnits:
    def test_predictions_are_those_of_the_arrays_of_the_cache(self, bias):
        task = make_task(bias=bias, sizes=(60, 30, 30))
        units = measure_units(task)
        rows = task.rows("val")
        found = all_logits(
            clip_head(task, units, 100.0),
            on_device(task.features, units),
            jnp.asarray(task.class_embeddings),
            rows,
        )
        arrays = {"projection": task.projection, "bias": task.bias, "logit_scale": 100.0}
        expected = expected_probabilities(task, arrays, rows)
        assert jax.nn.softmax(found) == pytest.approx(expected, abs=1e-4)

    def test_arrays_come_back_as_they_were(self, bias):
        task = make_task(bias=bias, sizes=(60, 30, 30))
        units = measure_units(task)
        arrays = arrays_of(clip_head(task, units, 100.0), units)
        assert arrays["projection"] == pytest.approx(task.projection, rel=1e-5)
        assert float(arrays["logit_scale"]) == pytest.approx(100, rel=1e-5)
        assert ("bias" in arrays) == bias
        if bias:
            assert arrays["bias"] == pytest.approx(task.bias, rel=1e-5)

    def test_mean_norms_are_one_in_the_units_of_training(self, bias):
        task = make_task(bias=bias, sizes=(60, 30, 30), unreadable=3)
        units = measure_units(task)
        rows = jnp.asarray(task.rows("train"))
        features = np.asarray(on_device(task.features, units).gather(rows))
        head = clip_head(task, units, 1.0)
        projected = features @ np.asarray(head.weight).T + (np.asarray(head.bias) if bias else 0)
        norms = [np.linalg.norm(each, axis=1).mean() for each in (features, projected)]
        assert norms == pytest.approx([1, 1], rel=1e-5)

    def test_a_trained_head_predicts_the_same_from_its_arrays(self, bias):
        task = make_task(bias=bias)
        experiment = Experiment(prepare(task), quick_settings(erm_lr=1e-2), 0)
        head, rows = experiment.erm.last, task.rows("test")[:40]
        expected = expected_probabilities(task, experiment.arrays(head), rows)
        assert experiment.probabilities(head, rows) == pytest.approx(expected, abs=1e-4)
