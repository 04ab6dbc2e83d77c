"""Adapters end to end: CLIP's head stays, saved arrays apply, and what the contrast is for."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.cache.runs.apply_head import apply_head
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment, StageCache
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.stage_spec import IDENTIFICATION_STAGE
from clip_cfr.calibrate.methods import contrastive_adapter, fit
from clip_cfr.calibrate.methods.classifiers import AdapterClassifier
from clip_cfr.calibrate.methods.erm_adapter import initial_adapter
from tests.calibrate.outcomes import fit_and_evaluate
from tests.calibrate.synthetic import make_task, quick_settings

of_both = pytest.mark.parametrize("method", ["erm-adapter", "contrastive-adapter"])


@of_both
def test_clip_s_own_head_stays_as_it_is(experiment, method):
    decayed = experiment.with_settings(replace(experiment.settings, weight_decay=0.1))
    for classifier in fit(method, decayed).classifiers.values():
        for name in ("weight", "log_scale"):
            found, expected = (
                getattr(each, name) for each in (classifier.head.frozen, experiment.initial_head())
            )
            assert (found == expected).all(), name
        assert (classifier.head.up != 0).any()


def test_an_untrained_adapter_predicts_as_clip_does(experiment, task):
    head = initial_adapter(np.random.default_rng(0), experiment)
    rows = task.rows("test")
    found = AdapterClassifier(head).logits(experiment, rows)
    expected = experiment.logits(experiment.initial_head(), rows)
    assert found == pytest.approx(expected, abs=1e-4)


def test_the_first_layer_keeps_lengths_on_average(experiment):
    wide = experiment.with_settings(quick_settings(adapter_dim=4096))
    down = np.asarray(initial_adapter(np.random.default_rng(0), wide).down)
    vector = np.full(down.shape[1], down.shape[1] ** -0.5, np.float32)
    assert np.linalg.norm(np.maximum(down @ vector, 0)) == pytest.approx(1, abs=0.05)


@of_both
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
def test_saved_arrays_apply_to_features_as_stored(method, bias):
    task = make_task(bias=bias, dtype=np.float16)
    run = Experiment(prepare(task), quick_settings(lr=1e-2, adapter_dim=7), 0)
    classifier, rows = fit(method, run).classifiers["last"], task.rows("test")
    arrays = classifier.arrays(run)
    assert arrays["adapter_down"].shape == (12, 7)
    assert arrays["adapter_up"].shape == (7, 12)
    expected = classifier.logits(run, rows)
    assert apply_head(arrays, task.features[rows]) == pytest.approx(expected, abs=1e-3)


@of_both
def test_serves_windows_of_resident_rows(task, method):
    experiment = Experiment(prepare(task, resident_rows=700), quick_settings(), 0)
    assert np.isfinite(fit(method, experiment).history["loss"]).all()


@of_both
def test_improves_on_clip(experiment, method):
    trained = experiment.with_settings(quick_settings(lr=1e-2))
    found, clip = (
        fit_and_evaluate(name, trained).metrics["worst-class"]["test"]
        for name in (method, "zeroshot")
    )
    assert found.average > clip.average


def test_anchors_are_what_clip_misclassifies(experiment, task):
    segment = next(contrastive_adapter.make_segments(experiment))
    train = task.rows("train")
    logits = experiment.logits(experiment.zeroshot_head(), train)
    wrong = train[logits.argmax(axis=1) != task.labels[train]]
    assert set(segment.stage.batches.anchors.reshape(-1)) == set(wrong)
    assert set(segment.stage.batches.training.reshape(-1)) == set(train)
    correct = np.flatnonzero(segment.stage.hyperparameters.correct)
    assert correct.tolist() == np.setdiff1d(train, wrong).tolist()


def test_without_errors_of_clip_there_is_no_anchor(experiment, task):
    perfect = np.eye(2, dtype=np.float32)[task.labels[task.rows("train")]]
    other = replace(
        experiment, shared={IDENTIFICATION_STAGE: StageCache(None, {"zeroshot": perfect})}
    )
    with pytest.raises(CalibrationError) as error:
        fit("contrastive-adapter", other)
    assert str(error.value) == (
        "contrastive-adapter needs training rows that CLIP's own head misclassifies, and there are "
        "none: leave the method out"
    )
