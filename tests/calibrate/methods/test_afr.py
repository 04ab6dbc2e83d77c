"""AFR: its rows, its weights by hand, and its limits: the first stage, and class balance."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.settings import SELECTIONS
from clip_cfr.calibrate.methods import afr, fit, logistic
from clip_cfr.calibrate.methods.checks import check_task
from clip_cfr.calibrate.methods.chosen_on_val import measure_criteria
from clip_cfr.calibrate.methods.last_layer import last_layer_loss
from tests.calibrate.outcomes import fit_and_evaluate
from tests.calibrate.synthetic import make_task, quick_settings, unit


@pytest.fixture(scope="module")
def overlapping():
    """An experiment with a bias, whose first stage misclassifies some held-out rows."""
    task = make_task(core=1.5, spurious=2, bias=True)
    return Experiment(prepare(task), quick_settings(erm_lr=1e-2), 0)


class TestHeldOutRows:
    def test_are_a_fifth_of_each_class_of_the_training_rows(self, many_class_task):
        task = many_class_task
        found, rows = afr.hold_out(task, 3), task.rows("train")
        assert set(found) <= set(rows)
        assert (np.diff(found) > 0).all()
        counts, all_counts = np.bincount(task.labels[found]), np.bincount(task.labels[rows])
        assert np.abs(counts - all_counts / 5).max() <= 1

    def test_depend_on_the_seed_alone(self, task):
        first, again, other = (afr.hold_out(task, seed).tolist() for seed in (0, 0, 1))
        assert first == again
        assert first != other

    def test_keep_subjects_together(self):
        task = make_task(rows_per_subject=4)
        held_out = afr.hold_out(task, 0)
        others = np.setdiff1d(task.rows("train"), held_out)
        assert not set(task.subjects[held_out]) & set(task.subjects[others])

    def test_take_no_part_in_the_first_stage(self, experiment, monkeypatch):
        drawn = []
        draw = Experiment.erm_segments

        def record(self, *arguments):
            for segment in draw(self, *arguments):
                drawn.append(np.unique(segment.stage.batches))
                yield segment

        monkeypatch.setattr(Experiment, "erm_segments", record)
        held_out = afr.hold_out(experiment.task, 0)
        afr.train_first_stage(experiment, held_out)
        assert len(drawn) == 1
        others = np.setdiff1d(experiment.task.rows("train"), held_out)
        assert drawn[0].tolist() == others.tolist()

    def test_of_a_class_with_one_training_row_are_refused(self, many_class_task):
        task = many_class_task
        rare = np.flatnonzero((task.splits == 0) & (task.labels == 3))
        valid = task.valid.copy()
        valid[rare[1:]] = False
        with pytest.raises(CalibrationError) as error:
            check_task(replace(task, valid=valid), quick_settings(), ["afr"])
        assert str(error.value) == (
            "afr needs at least two training rows, or subjects, of each class, to hold one out; "
            "found one of 'class 3': leave the method out"
        )

    def test_may_lack_a_class_without_training_rows(self, many_class_task):
        task = many_class_task
        valid = (task.splits != 0) | (task.labels != 3)
        experiment = Experiment(prepare(replace(task, valid=valid)), quick_settings(), 0)
        fitted = fit("afr", experiment)
        logits = fitted.classifiers["average"].logits(experiment, task.rows("test"))
        assert np.isfinite(logits).all()


class TestWeights:
    def test_by_hand(self):
        probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], np.float32)
        labels = np.array([0, 0, 1], np.int32)
        raw = np.exp([-2 * 0.9, -2 * 0.2, -2 * 0.5]) / [2, 2, 1]
        found = afr.weigh_rows(probabilities, labels, 2.0)
        assert found == pytest.approx(raw / raw.sum(), rel=1e-6)

    def test_without_gamma_balance_the_classes(self, rng):
        labels = np.repeat([0, 2, 3], [50, 7, 3]).astype(np.int32)
        probabilities = softmax(rng.normal(size=(60, 4)), axis=1).astype(np.float32)
        found = afr.weigh_rows(probabilities, labels, 0.0)
        totals = np.bincount(labels, found)
        assert totals[[0, 2, 3]] == pytest.approx(np.full(3, 1 / 3))
        assert len(np.unique(found[:50])) == 1

    def test_rows_that_the_first_stage_gets_wrong_weigh_more(self):
        probabilities = np.array([[0.9, 0.1], [0.1, 0.9]], np.float32)
        found = afr.weigh_rows(probabilities, np.zeros(2, np.int32), 4.0)
        assert found[1] / found[0] == pytest.approx(np.exp(4 * 0.8), rel=1e-5)


def first_stage(experiment):
    """Return the held-out rows, the arrays of the first stage's head and the head."""
    held_out = afr.hold_out(experiment.task, experiment.seed)
    head = afr.train_first_stage(experiment, held_out).last
    return held_out, experiment.head_arrays(head), head


def embed(task, arrays, rows):
    """Return embeddings in float64."""
    return unit(task.features[rows].astype(float) @ arrays["projection"] + arrays.get("bias", 0))


def test_an_infinite_penalty_leaves_the_first_stage(overlapping, monkeypatch):
    monkeypatch.setattr(afr, "PENALTIES", (1e9,))
    rows = overlapping.task.rows("test")
    _, _, head = first_stage(overlapping)
    found = fit("afr", overlapping).classifiers["last"].logits(overlapping, rows)
    assert found == pytest.approx(overlapping.logits(head, rows), abs=1e-3)


@pytest.mark.parametrize("gamma", [0.0, 4.0])
def test_the_last_layer_is_the_optimum_of_the_weighted_loss(overlapping, monkeypatch, gamma):
    """At gamma 0 the loss is that of balanced classes, computed here without AFR's weights."""
    monkeypatch.setattr(afr, "GAMMAS", (gamma,))
    monkeypatch.setattr(afr, "PENALTIES", (0.1,))
    task = overlapping.task
    held_out, arrays, _ = first_stage(overlapping)
    scale, labels = float(arrays["logit_scale"]), task.labels[held_out]
    embeddings = embed(task, arrays, held_out)
    chances = softmax(scale * embeddings @ task.class_embeddings.T.astype(float), axis=1)
    row_weights = np.array([1 / (2 * (labels == label).sum()) for label in labels])
    if gamma:
        row_weights *= np.exp(-gamma * chances[np.arange(len(labels)), labels])
        row_weights /= row_weights.sum()
    saved = fit("afr", overlapping).classifiers["average"].arrays(overlapping)
    layer = np.concatenate(
        [saved["logits_weight"].T / scale, saved["logits_bias"][:, None]], axis=1
    )
    inputs = np.concatenate([scale * embeddings, np.ones((len(labels), 1))], axis=1)
    start = np.pad(task.class_embeddings.astype(float), ((0, 0), (0, 1)))
    arguments = (inputs, labels, row_weights, start, 0.1)
    best, gradient = last_layer_loss(layer.astype(float), *arguments)
    assert np.abs(gradient).max() < 1e-4
    assert best < last_layer_loss(start, *arguments)[0] - 0.01


def test_each_criterion_chooses_its_own_gamma_and_penalty(overlapping):
    fitted, task = fit("afr", overlapping), overlapping.task
    held_out, _, head = first_stage(overlapping)
    candidates = afr.make_candidates(overlapping, head, held_out)
    assert len(candidates) == len(afr.GAMMAS) * len(afr.PENALTIES)
    for selection in SELECTIONS:
        values = [measure_criteria(task, each.val_correct)[selection] for each in candidates]
        best = candidates[int(np.argmax(values))]
        assert fitted.chosen[selection] == best.hyperparameters
    assert set(fitted.selected_steps.values()) == {60}


def test_seeds_repeat_and_differ(overlapping):
    again = Experiment(overlapping.prepared, overlapping.settings, 0)
    other = Experiment(overlapping.prepared, overlapping.settings, 1)
    first, second, third = (
        fit("afr", each).classifiers["average"].arrays(each) for each in (overlapping, again, other)
    )
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    assert np.abs(first["logits_weight"] - third["logits_weight"]).max() > 1e-3


def test_repairs_the_worst_group_without_its_labels(experiment):
    found, erm = (
        fit_and_evaluate(name, experiment).metrics["worst-class"]["test"] for name in ("afr", "erm")
    )
    assert found.worst_group > erm.worst_group + 0.1


def test_the_erm_stage_of_other_methods_stays_as_it_is(task):
    experiment = Experiment(prepare(task), quick_settings(), 0)
    fit("afr", experiment)
    assert all(each.trained is None for each in experiment.shared.values())


def test_features_may_stay_in_a_file(task):
    experiment = Experiment(prepare(task, 700), quick_settings(), 0)
    found = fit_and_evaluate("afr", experiment).metrics["average"]["test"]
    assert found.average > 0.6


class TestRefusals:
    def test_of_memory(self, task, monkeypatch):
        monkeypatch.setattr(logistic, "physical_memory", lambda: 24_000)
        check_task(task, quick_settings(), ["afr"])
        monkeypatch.setattr(logistic, "physical_memory", lambda: 23_999)
        with pytest.raises(
            CalibrationError, match="afr needs about 0 GB of memory for 200 training"
        ):
            check_task(task, quick_settings(), ["afr"])

    def test_of_a_first_stage_that_diverged(self, task):
        diverging = Experiment(prepare(task), quick_settings(erm_lr=1e30), 0)
        with pytest.raises(CalibrationError, match="afr diverged"):
            fit("afr", diverging)
