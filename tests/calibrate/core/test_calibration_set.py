"""Which rows are recalibrated on, and that no attribute has a say in it."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from clip_cfr.calibrate.core.calibration_set import compute_margins, select_calibration_set
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.core.stage_spec import IDENTIFICATION_STAGE
from clip_cfr.calibrate.methods import cfr
from clip_cfr.calibrate.methods.fitted import selected_heads
from tests.calibrate.synthetic import quick_settings

LABELS = np.array([0, 0, 1, 1, 2, 2, 0, 1], np.int32)
ROWS = np.arange(10, 18, dtype=np.int32)
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.1, 0.8, 0.1],  # wrong, by 0.7
        [0.2, 0.5, 0.3],
        [0.4, 0.3, 0.3],  # wrong, by 0.1
        [0.1, 0.2, 0.7],
        [0.5, 0.2, 0.3],  # wrong, by 0.2
        [0.1, 0.0, 0.9],  # wrong, by 0.8
        [0.4, 0.5, 0.1],
    ],
    np.float32,
)
NAMES = ("cat", "dog", "hare")


def choose(seed: int = 0, probabilities=PROBABILITIES, **changes):
    settings = quick_settings(**changes)
    rng = np.random.default_rng(seed)
    return select_calibration_set(rng, probabilities, LABELS, ROWS, settings, NAMES)


def test_margins_are_the_label_less_the_best_other():
    expected = [0.7, -0.7, 0.2, -0.1, 0.5, -0.2, -0.8, 0.1]
    assert compute_margins(PROBABILITIES, LABELS) == pytest.approx(np.array(expected), abs=1e-6)


class TestRows:
    def test_are_the_wrong_ones_in_order(self):
        found = choose()
        assert found.rows.tolist() == [11, 13, 15, 16]
        assert not found.fallback

    @pytest.mark.parametrize(("size", "count"), [(3, 3), (0.5, 2), (0.01, 1), (1, 4), (99, 4)])
    def test_can_be_fewer(self, size, count):
        found = choose(calibration_size=size).rows
        assert len(found) == count
        assert set(found) <= {11, 13, 15, 16}
        assert sorted(found) == found.tolist()

    def test_can_not_be_fewer_than_the_minimum(self):
        with pytest.raises(CalibrationError) as error:
            choose(calibration_size=0.5, calibration_minimum=3)
        assert str(error.value) == (
            "--calibration-size 0.5 selects 2 of the 4 training rows that the identification head "
            "misclassifies, expected at least 3: raise it, or lower --calibration-minimum"
        )

    def test_of_a_random_choice_differ_between_seeds(self):
        chosen = {tuple(choose(seed, calibration_size=2).rows) for seed in range(20)}
        assert len(chosen) == 6  # all pairs of four

    def test_of_one_seed_contain_those_of_a_smaller_size(self):
        sets = [set(choose(calibration_size=size).rows) for size in (2, 3, 4)]
        assert sets[0] < sets[1] < sets[2]

    def test_can_be_the_most_confidently_wrong(self):
        found = choose(calibration_size=2, calibration_subset="confident")
        assert found.rows.tolist() == [11, 16]


class TestTooFew:
    def test_says_how_many_there_are_of_each_class_and_what_to_change(self):
        with pytest.raises(CalibrationError) as error:
            choose(calibration_minimum=5)
        assert str(error.value) == (
            "the identification head misclassifies 4 training rows (cat 2, dog 1, hare 1), "
            "expected at least 5 for a calibration set: train it less (--identification-steps, "
            "--identification-lr), use the errors of another head (--calibration-source "
            "zeroshot), or use the rows of smallest margin "
            "(--calibration-fallback margin)"
        )

    def test_of_none_at_all_is_said_too(self):
        with pytest.raises(CalibrationError, match=r"misclassifies 0 training rows \(cat 0, dog 0"):
            choose(probabilities=np.eye(3, dtype=np.float32)[LABELS])

    @pytest.mark.parametrize(("size", "count"), [(6, 6), (None, 5), (0.5, 5), (99, 8)])
    def test_the_fallback_takes_the_smallest_margins(self, size, count):
        found = choose(
            calibration_minimum=5,
            calibration_fallback="margin",
            calibration_size=size,
            calibration_batch_size=5,
        )
        nearest = np.argsort(compute_margins(PROBABILITIES, LABELS), kind="stable")[:count]
        assert found.fallback
        assert found.rows.tolist() == sorted(ROWS[nearest])

    def test_the_fallback_waits_until_it_is_needed(self):
        assert not choose(calibration_minimum=4, calibration_fallback="margin").fallback


class TestSource:
    @pytest.mark.parametrize("source", ["identification", "zeroshot"])
    def test_is_the_head_whose_errors_count(self, experiment, task, source):
        settings = quick_settings(calibration_source=source)
        chosen = Experiment(experiment.prepared, settings, 0).calibration_set
        rows = task.rows("train")
        head = (
            experiment.identification_head
            if source == "identification"
            else experiment.zeroshot_head()
        )
        wrong = experiment.probabilities(head, rows).argmax(axis=1) != task.labels[rows]
        assert chosen.rows.tolist() == rows[wrong].tolist()

    def test_is_the_last_identification_head_whatever_is_selected(self, overlapping):
        rows, labels = overlapping.task.rows("train"), overlapping.task.labels

        def wrong(head):
            return rows[overlapping.probabilities(head, rows).argmax(axis=1) != labels[rows]]

        trained = overlapping.shared_stage(IDENTIFICATION_STAGE)
        best = selected_heads(trained)["worst-class"]
        assert wrong(best).tolist() != wrong(trained.last).tolist()
        for selection in ("worst-class", "worst-group", "average", "last"):
            settings = replace(overlapping.settings, selection=selection)
            other = Experiment(overlapping.prepared, settings, overlapping.seed)
            assert other.calibration_set.rows.tolist() == wrong(trained.last).tolist()

    def test_unreadable_rows_are_not_in_it(self, task, experiment):
        half = experiment.calibration_set.rows[::2]
        valid = task.valid.copy()
        valid[half] = False
        other = Experiment(prepare(replace(task, valid=valid)), experiment.settings, 0)
        rows = other.calibration_set.rows
        assert len(rows)
        assert not set(rows) & set(half)


def test_no_attribute_has_an_influence(task, experiment):
    """Other attributes, even other ones on val: the same rows, and the same heads to the bit."""
    shuffled = replace(task, attributes=np.random.default_rng(1).permutation(task.attributes))
    other = Experiment(prepare(shuffled), experiment.settings, 0)
    assert (shuffled.attributes != task.attributes).any()
    assert other.calibration_set.rows.tolist() == experiment.calibration_set.rows.tolist()
    first, second = cfr.fit(experiment), cfr.fit(other)
    for selection in ("worst-class", "average", "last"):
        heads = [each.classifiers[selection].head for each in (first, second)]
        pairs = zip(*map(jax.tree.leaves, heads), strict=True)
        assert all((left == right).all() for left, right in pairs), selection
        assert first.selected_steps[selection] == second.selected_steps[selection]


def test_the_zero_shot_head_is_not_told_to_train_less():
    with pytest.raises(CalibrationError) as caught:
        choose(probabilities=np.eye(3, dtype=np.float32)[LABELS], calibration_source="zeroshot")
    assert "use the errors of another head (--calibration-source identification)" in str(
        caught.value
    )
    assert "--identification-steps" not in str(caught.value)


def test_margins_tell_rows_apart_whose_probabilities_round_to_nought():
    logits = np.array([[0, 200], [0, 150], [90, 0]], np.float32)
    assert compute_margins(logits, np.zeros(3, int)).tolist() == [-200, -150, 90]
