"""The training rows that `resample` draws for a seed."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.core import resample
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.metrics import Predictions, evaluate
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.resample import resample_train
from clip_cfr.calibrate.methods import afr, fit
from tests.calibrate.synthetic import make_task, quick_settings


def draw(task, seed=0):
    """Return the task with the training rows that a seed draws."""
    return resample_train(np.random.default_rng(seed), task)


def with_subjects(task, subjects, labels):
    """Return the task with other subjects and labels in its first rows, all of them in train."""
    new = [task.labels.copy(), np.arange(len(task.labels), dtype=np.int32) + len(subjects)]
    for column, values in zip(new, (labels, subjects), strict=True):
        column[: len(values)] = values
    splits = task.splits.copy()
    splits[(splits == 0) & (np.arange(len(splits)) >= len(labels))] = 2
    return replace(task, labels=new[0], subjects=new[1], splits=splits)


class TestResampleTrain:
    def test_rows_of_train_are_drawn_with_replacement_within_each_class(self, task):
        rows, drawn = task.rows("train"), draw(task).rows("train")
        assert (np.diff(drawn) >= 0).all()
        assert set(drawn) < set(rows)
        assert len(np.unique(drawn)) == pytest.approx((1 - np.exp(-1)) * len(rows), rel=0.05)
        for each in (0, 1):
            assert (task.labels[drawn] == each).sum() == (task.labels[rows] == each).sum()

    def test_a_seed_always_draws_the_same_rows_and_another_seed_others(self, task):
        assert draw(task, 3).train_rows.tolist() == draw(task, 3).train_rows.tolist()
        assert draw(task, 3).train_rows.tolist() != draw(task, 4).train_rows.tolist()

    def test_other_splits_and_the_features_stay(self, task):
        drawn = draw(task)
        assert drawn.features is task.features
        for split in ("val", "test"):
            assert drawn.rows(split).tolist() == task.rows(split).tolist()

    def test_subjects_stay_whole(self):
        task = make_task(rows_per_subject=5, sizes=(300, 60, 60))
        counts = np.bincount(draw(task).rows("train"), minlength=300)[:300].reshape(-1, 5)
        assert (counts == counts[:, :1]).all()
        assert counts[:, 0].sum() == 60
        assert counts.max() > 1

    def test_unreadable_rows_are_never_drawn(self):
        task = make_task(unreadable=50, sizes=(200, 60, 60))
        assert task.valid[draw(task).rows("train")].all()

    def test_a_draw_without_a_class_is_repeated(self, task):
        mixed = with_subjects(task, [0, 0, 1, 2], [0, 1, 0, 0])
        for seed in range(20):
            assert set(mixed.labels[draw(mixed, seed).rows("train")]) == {0, 1}

    def test_a_class_that_is_hardly_ever_drawn_is_named(self, task, monkeypatch):
        monkeypatch.setattr(resample, "MAX_DRAWS", 2)
        mixed = with_subjects(task, [0, 0, 1, 2], [0, 1, 0, 0])
        with pytest.raises(CalibrationError) as error:
            [draw(mixed, seed) for seed in range(100)]
        assert str(error.value) == (
            "--resample: 2 draws of training subjects have no row of class 'class 1', because "
            "few subjects show it: leave --resample out"
        )

    def test_the_weights_of_the_train_weighted_average_stay(self, task):
        rows = task.rows("test")
        logits = np.random.default_rng(0).normal(size=(len(rows), 2))
        predictions = Predictions("test", rows, logits)
        drawn = draw(task)
        assert drawn.group_counts("train").tolist() != task.group_counts("train").tolist()
        assert evaluate(drawn, predictions) == evaluate(task, predictions)


@pytest.fixture(scope="module")
def small():
    """A task whose classes overlap."""
    return prepare(make_task(core=1, spurious=1, sizes=(200, 60, 200)))


class TestExperiment:
    def test_all_settings_of_a_seed_train_on_one_draw_and_seeds_on_others(self, small):
        settings = quick_settings(resample=True)
        first = Experiment(small, settings, 0)
        other = first.with_settings(replace(settings, lr=0.1))
        assert first.task.train_rows.tolist() == other.task.train_rows.tolist()
        second = Experiment(small, settings, 1)
        assert first.task.train_rows.tolist() != second.task.train_rows.tolist()

    def test_seeds_of_a_method_without_random_draws_differ_only_if_rows_are_drawn(self, small):
        def accuracies(resample):
            found = []
            for seed in (0, 1, 2):
                experiment = Experiment(small, quick_settings(resample=resample), seed)
                classifier = fit("linear-probe", experiment).classifiers["worst-class"]
                rows = experiment.task.rows("test")
                predictions = Predictions("test", rows, classifier.logits(experiment, rows))
                found.append(evaluate(experiment.task, predictions).average)
            return np.array(found)

        assert accuracies(resample=False).std() == 0
        assert accuracies(resample=True).std() > 0

    def test_a_repeated_row_is_in_the_calibration_set_as_often(self, small):
        experiment = Experiment(small, quick_settings(resample=True), 0)
        train, chosen = experiment.task.rows("train"), experiment.calibration_set.rows
        assert len(np.unique(chosen)) < len(chosen)
        for row in np.unique(chosen):
            assert (chosen == row).sum() == (train == row).sum()

    def test_afr_holds_out_all_copies_of_a_row(self, small):
        task = Experiment(small, quick_settings(resample=True), 0).task
        held_out = afr.hold_out(task, seed=0)
        assert len(np.unique(held_out)) < len(held_out)
        for row in np.unique(held_out):
            assert (held_out == row).sum() == (task.rows("train") == row).sum()
