"""Experiments fitted together: the same as one by one, and each with its own fate."""

import numpy as np
import pytest

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.methods.batched import (
    batch_size,
    fit_batch,
    fit_experiments,
    fit_one,
    stage_bytes,
)
from clip_cfr.calibrate.methods.fitted import Fitted
from tests.calibrate.synthetic import make_task, quick_settings
from tests.calibrate.traces import assert_max_traces

# Two programs' worth of points, in an order that mixes them, with two identification stages.
POINTS = [
    {"lr": 1e-3},
    {"lr": 1e-2, "positive": "rps"},
    {"temperature": 1.0, "calibration_size": 5.0},
    {"identification_lr": 1e-2, "positive": "rps"},
    {"dropout": 0.0, "init": "clip", "identification_lr": 1e-2},
]


def experiments_of(prepared, seeds=(0, 1)):
    """Fresh experiments, whose shared stages nobody has trained."""
    return [Experiment(prepared, quick_settings(**each), seed) for seed in seeds for each in POINTS]


def test_heads_are_those_of_one_by_one(prepared):
    together = fit_batch(experiments_of(prepared))
    for found, experiment in zip(together, experiments_of(prepared), strict=True):
        expected = fit_one("cfr", experiment)
        for name, classifier in expected.classifiers.items():
            weight = np.asarray(found.classifiers[name].head.weight)
            assert weight == pytest.approx(np.asarray(classifier.head.weight), abs=2e-5)
        assert found.selected_steps == expected.selected_steps
        for name, column in expected.history.items():
            assert found.history[name] == pytest.approx(column, abs=1e-3), name


def test_one_program_serves_all_points_of_equal_shapes(prepared):
    points = [{"lr": lr, "temperature": t} for lr in (1e-3, 1e-2) for t in (0.1, 1.0)]

    def fits(seed):
        fit_batch([Experiment(prepared, quick_settings(**p), seed) for p in points])

    fits(0)
    with assert_max_traces("run_stages", 0), assert_max_traces("run_segment", 0):
        fits(1)


def test_one_that_fails_leaves_the_others(prepared):
    points = [
        {},
        {"lr": 1e30},
        {"calibration_minimum": 900},
        {"identification_lr": 1e30},
        {"lr": 1e-2},
    ]
    experiments = [Experiment(prepared, quick_settings(**each), 0) for each in points]
    found = fit_batch(experiments)
    assert [type(each) for each in found] == [
        Fitted,
        CalibrationError,
        CalibrationError,
        CalibrationError,
        Fitted,
    ]
    alone = list(fit_experiments("cfr", experiments))
    assert [str(each) for each in found[1:4]] == [str(each) for each in alone[1:4]]


def test_stages_follow_each_other_on_a_cpu(prepared):
    if prepared.class_embeddings.device.platform == "cpu":
        assert batch_size("cfr", Experiment(prepared, quick_settings(), 0)) == 1


def test_larger_stages_take_more_memory(task):
    sizes = [
        stage_bytes(prepare(each), settings)
        for each in (task, make_task(dim=48))
        for settings in (quick_settings(), quick_settings(steps=600))
    ]
    assert sizes[0] < sizes[1]
    assert sizes[0] < sizes[2] < sizes[3]


class TestTooLittleMemory:
    """Stages at once, of a device that holds fewer than it seemed."""

    def fit(self, monkeypatch, prepared, fits: int):
        tried = []

        def together(experiments):
            tried.append(len(experiments))
            if len(experiments) > fits:
                raise MemoryError("Out of memory allocating 1 bytes.")
            return [each.seed for each in experiments]

        monkeypatch.setattr("clip_cfr.calibrate.methods.batched.batch_size", lambda *_: 8)
        monkeypatch.setattr("clip_cfr.calibrate.methods.batched.fit_batch", together)
        monkeypatch.setattr("clip_cfr.calibrate.methods.batched.fit_one", lambda _, each: each.seed)
        experiments = [Experiment(prepared, quick_settings(), seed) for seed in range(9)]
        return list(fit_experiments("cfr", experiments)), tried

    def test_halves_what_is_fitted_at_once(self, monkeypatch, prepared):
        found, tried = self.fit(monkeypatch, prepared, fits=3)
        assert found == list(range(9))
        assert tried == [8, 4, 2, 2, 2, 2]

    def test_ends_at_one_by_one(self, monkeypatch, prepared):
        assert self.fit(monkeypatch, prepared, fits=0) == (list(range(9)), [8, 4, 2])
