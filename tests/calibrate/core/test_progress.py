"""Callbacks during a stage: when they are called, and that they change no result."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.segments import evaluation_steps
from clip_cfr.calibrate.core.settings import CRITERIA
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import cfr, fit
from tests.calibrate.synthetic import quick_settings
from tests.calibrate.trees import assert_trees_equal

STEPS, EVALUATIONS = 47, 23
RESIDENT_ROWS = 700


class StopStage(Exception):
    """Raised by a callback."""


def stop(*arguments):
    raise StopStage(*arguments)


def assert_same_fit(found, expected, experiment):
    """Compare heads, selected steps and logs to the bit."""
    assert_trees_equal(found.history, expected.history)
    assert found.selected_steps == expected.selected_steps
    for name, classifier in expected.classifiers.items():
        arrays = found.classifiers[name].arrays(experiment)
        assert_trees_equal(arrays, classifier.arrays(experiment))


class TestProgress:
    """The progress callback of an experiment."""

    @pytest.fixture(params=[None, RESIDENT_ROWS], ids=["all rows", "windows"])
    def parts(self, request, task):
        """An experiment without a callback, one with, and its calls."""
        calls = []
        settings = quick_settings(steps=80, identification_steps=60, erm_steps=100, evaluations=40)
        alone = Experiment(prepare(task, request.param), settings, 0)
        reported = Experiment(alone.prepared, settings, 0, lambda *call: calls.append(call))
        return alone, reported, calls

    @pytest.mark.parametrize("method", ["erm", "cfr"])
    def test_does_not_change_a_bit(self, parts, method):
        alone, reported, _ = parts
        assert_same_fit(fit(method, reported), fit(method, alone), alone)

    def test_is_called_about_20_times_a_stage(self, parts):
        _, reported, calls = parts
        fit("cfr", reported)
        for stage, steps, fewest in (("identification", 60, 10), ("cfr", 80, 18)):
            done = [step for name, step, _ in calls if name == stage]
            assert {total for name, _, total in calls if name == stage} == {steps}
            assert done == sorted(set(done))
            assert fewest <= len(done) <= 30
            assert done[-1] == steps
        assert [name for name, *_ in calls] == sorted((name for name, *_ in calls), reverse=True)

    def test_is_not_called_for_a_cached_stage(self, parts):
        _, reported, calls = parts
        fit("erm", reported)
        calls.clear()
        fit("erm", reported)
        assert calls == []

    def test_goes_on_with_other_settings(self, parts):
        _, reported, calls = parts
        other = reported.with_settings(replace(reported.settings, lr=1e-2))
        fit("cfr", other)
        assert ("cfr", 80, 80) in calls

    def test_may_stop_a_stage(self, prepared):
        experiment = Experiment(prepared, quick_settings(), 0, stop)
        with pytest.raises(StopStage, match=r"\('erm', 10, 60\)"):
            fit("erm", experiment)


class TestSegmentCallback:
    """The callback of one CFR stage, which pruning uses."""

    @pytest.fixture
    def longer(self, experiment):
        return experiment.with_settings(quick_settings(steps=STEPS, evaluations=EVALUATIONS))

    def test_receives_the_best_values_so_far(self, longer):
        calls = []
        watched = cfr.fit(longer, lambda step, values: calls.append((step, values)))
        assert_same_fit(watched, cfr.fit(longer), longer)
        eval_steps = evaluation_steps(STEPS, EVALUATIONS)
        assert [step for step, _ in calls] == [*eval_steps[3:-1:3].tolist(), STEPS]
        for step, values in calls:
            done = watched.history["step"] <= step
            best = {name: watched.history[f"val {name}"][done].max() for name in CRITERIA}
            assert values == best

    def test_may_stop_the_stage(self, longer):
        with pytest.raises(StopStage) as error:
            cfr.fit(longer, stop)
        assert error.value.args[0] == evaluation_steps(STEPS, EVALUATIONS)[3]


def test_features_are_read_as_often_with_progress_as_without(task):
    """Splitting the segment of a window does not load its rows again."""

    class Counted:
        shape, dtype = task.features.shape, task.features.dtype
        reads = 0

        def __getitem__(self, rows):
            self.reads += 1
            return task.features[rows]

    reads = []
    for progress in (None, lambda *call: None):
        counted = Counted()
        stored: Task = replace(task, features=counted)
        settings = quick_settings(erm_steps=60, evaluations=60)
        experiment = Experiment(prepare(stored, RESIDENT_ROWS), settings, 0, progress)
        assert np.isfinite(fit("erm", experiment).history["loss"]).all()
        reads.append(counted.reads)
    assert reads[0] == reads[1]
