"""What all methods have in common."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.core.experiment import (
    CALIBRATION_SET_STREAM,
    TRAINING_ROWS_STREAM,
    Experiment,
)
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import SELECTIONS
from clip_cfr.calibrate.methods import METHODS, fit, load_method
from clip_cfr.calibrate.progress import count_steps
from tests.calibrate.synthetic import quick_settings
from tests.calibrate.traces import assert_max_traces


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_a_classifier_for_every_selection(experiment, task, name):
    fitted, rows = fit(name, experiment), task.rows("val")
    assert tuple(fitted.classifiers) == SELECTIONS
    for each in fitted.classifiers.values():
        logits = each.logits(experiment, rows)
        assert logits.shape == (len(rows), 2)
        assert np.isfinite(logits).all()
        assert all(np.isfinite(array).all() for array in each.arrays(experiment).values())
    lengths = {len(column) for column in fitted.history.values()}
    assert lengths <= {6}
    declared = load_method(name)
    assert declared.chooses_on_val or not any(fitted.chosen.values())
    assert not (declared.chooses_on_val and declared.search)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_reports_the_steps_that_are_counted_for_it(prepared, name):
    done = {}

    def report(stage, step, steps):
        assert step <= steps
        done[stage] = step

    settings = quick_settings()
    fit(name, Experiment(prepared, settings, 0, progress=report))
    assert done == count_steps(settings, [name], 1)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("cfr-no-contrast", {"holistic_weight": 0.3, "alpha": 0.7}),
        ("cfr-no-holistic", {"temperature": 0.3, "lr": 1e-2}),
        ("error-set", {"dropout": 0.3, "lr": 1e-2}),
        ("jtt", {"jtt_upweight": 3}),
        ("group-dro", {"group_dro_step": 0.3, "dropout": 0.3}),
        ("cnc", {"cnc_weight": 0.3, "temperature": 0.3, "lr": 1e-2}),
        ("erm-adapter", {"lr": 1e-2, "dropout": 0.3}),
        ("contrastive-adapter", {"temperature": 0.3, "lr": 1e-2, "dropout": 0.3}),
    ],
)
def test_other_values_of_a_method_s_numbers_compile_nothing(experiment, name, changes):
    changed = experiment.with_settings(quick_settings(**changes))
    fit("erm", changed)
    fitted = fit(name, experiment)
    with assert_max_traces("run_segment", 0):
        other = fit(name, changed)
    assert (other.history["loss"] != fitted.history["loss"]).any()


def test_group_labels_are_named():
    used = {each: split for each in METHODS if (split := load_method(each).group_labels) != "none"}
    assert used == {"dfr": "val", "group-dro": "train", "group-lr": "train"}


def test_methods_without_group_labels_ignore_attributes(experiment, task):
    """Other attributes, even on val: the same classifiers, to the bit."""
    shuffled = replace(task, attributes=np.random.default_rng(1).permutation(task.attributes))
    other = Experiment(prepare(shuffled), experiment.settings, experiment.seed)
    for name in (each for each in METHODS if load_method(each).group_labels == "none"):
        first, second = fit(name, experiment), fit(name, other)
        for selection in ("worst-class", "average", "last"):
            arrays = [
                each.classifiers[selection].arrays(run)
                for each, run in ((first, experiment), (second, other))
            ]
            differing = [key for key in arrays[0] if (arrays[0][key] != arrays[1][key]).any()]
            assert differing == [], (name, selection)


def test_methods_draw_random_numbers_of_their_own():
    """Except those whose rows shall be those of ERM, or of CFR."""
    drawing = {name: load_method(name) for name in METHODS}
    streams = {
        name: each.stage.stream if each.stage else each.stream for name, each in drawing.items()
    }
    shared = {"erm": ("jtt", "afr"), "cfr": ("cfr-no-contrast", "cfr-no-holistic", "error-set")}
    for name, others in shared.items():
        assert {streams.pop(other) for other in others} == {streams[name]}
    own = [each for each in streams.values() if each is not None]
    own += [CALIBRATION_SET_STREAM, TRAINING_ROWS_STREAM]
    assert len(own) == len(set(own))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_uses_the_settings_to_tune_for_it(name):
    method = load_method(name)
    assert set(method.search) <= set(method.used_settings)


def test_methods_with_a_stage_are_named_as_it_is():
    for name in METHODS:
        stage = load_method(name).stage
        assert stage is None or stage.name == name


def test_zero_shot_is_clip_s_own_head(experiment, task):
    found = fit("zeroshot", experiment).classifiers["last"].arrays(experiment)
    assert found["projection"] == pytest.approx(task.projection, rel=1e-5)
    assert found["logit_scale"] == pytest.approx(100, rel=1e-5)
    assert (found["class_embeddings"] == task.class_embeddings).all()
