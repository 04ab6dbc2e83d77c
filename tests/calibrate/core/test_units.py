"""The units of training: what they measure, and that predictions do not depend on them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.features import to_device
from clip_cfr.calibrate.core.head import compute_logits
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.units import clip_head, head_arrays, measure_units
from tests.calibrate import reference
from tests.calibrate.synthetic import make_task, quick_settings


def expected_probabilities(task, arrays, rows):
    """Softmax of scale * v.t in float64, from arrays for features as in the cache."""
    features = task.features[rows].astype(float)
    projection, bias = arrays["projection"], arrays.get("bias")
    vectors = np.stack([reference.embed(row, projection, bias) for row in features])
    scores = arrays["logit_scale"] * vectors @ task.class_embeddings.T
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(params=[False, True], ids=["no bias", "bias"])
def task(request):
    return make_task(bias=request.param, sizes=(60, 30, 30), unreadable=3)


@pytest.fixture
def units(task):
    return measure_units(task)


def test_mean_norms_are_one(task, units):
    rows = jnp.asarray(task.rows("train"))
    features = np.asarray(to_device(task.features, units.features).gather(rows))
    head = clip_head(task, units, 1.0)
    projected = features @ np.asarray(head.weight).T
    projected += 0 if head.bias is None else np.asarray(head.bias)
    norms = [np.linalg.norm(each, axis=1).mean() for each in (features, projected)]
    assert norms == pytest.approx([1, 1], rel=1e-5)


def test_predictions_are_those_of_the_cache_s_arrays(task, units):
    rows = task.rows("val")
    found = compute_logits(
        clip_head(task, units, 100.0),
        to_device(task.features, units.features),
        jnp.asarray(task.class_embeddings),
        rows,
    )
    arrays = {"projection": task.projection, "bias": task.bias, "logit_scale": 100.0}
    expected = expected_probabilities(task, arrays, rows)
    assert np.asarray(jax.nn.softmax(found)) == pytest.approx(expected, abs=1e-4)


def test_arrays_of_clip_s_head_are_those_of_the_cache(task, units):
    arrays = head_arrays(clip_head(task, units, 100.0), units)
    assert arrays["projection"] == pytest.approx(task.projection, rel=1e-5)
    assert float(arrays["logit_scale"]) == pytest.approx(100, rel=1e-5)
    assert ("bias" in arrays) == (task.bias is not None)
    if task.bias is not None:
        assert arrays["bias"] == pytest.approx(task.bias, rel=1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_a_trained_head_predicts_the_same_from_its_arrays(bias):
    task = make_task(bias=bias)
    experiment = Experiment(prepare(task), quick_settings(erm_lr=1e-2), 0)
    head, rows = experiment.erm.last, task.rows("test")[:40]
    expected = expected_probabilities(task, experiment.head_arrays(head), rows)
    assert experiment.probabilities(head, rows) == pytest.approx(expected, abs=1e-4)


def test_a_projection_that_overflows_is_an_error(task):
    large = dataclasses.replace(task, projection=np.full_like(task.projection, 3e38))
    with pytest.raises(CalibrationError, match="overflow in float32: divide the features"):
        measure_units(large)
