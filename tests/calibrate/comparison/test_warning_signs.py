"""Signs of failure: each is named where it is there, in these words, and not where it is not."""

from dataclasses import fields, replace

import numpy as np
import pytest

from clip_cfr.calibrate.comparison import warning_signs
from clip_cfr.calibrate.core.calibration_set import CalibrationSet
from clip_cfr.calibrate.core.metrics import GroupAccuracy, SplitMetrics
from clip_cfr.calibrate.core.named_groups import NamedAttribute
from tests.calibrate.synthetic import make_task

TASK = make_task()


def rows_of(label: int | None = None, count: int = 60, group: tuple[int, int] | None = None):
    """Training rows of a class, or of a group."""
    rows = TASK.rows("train")
    if label is not None:
        rows = rows[TASK.labels[rows] == label]
    if group is not None:
        rows = rows[(TASK.labels[rows] == group[0]) & (TASK.attributes[rows] == group[1])]
    return CalibrationSet(rows[:count])


def minority() -> CalibrationSet:
    """All training rows whose attribute is not the usual one: what CFR hopes to find."""
    rows = TASK.rows("train")
    return CalibrationSet(rows[TASK.labels[rows] != TASK.attributes[rows]])


def accuracies(worst_group: float, average: float) -> SplitMetrics:
    """Metrics of which the warnings read two."""
    other = dict.fromkeys((each.name for each in fields(SplitMetrics)), 0.5)
    groups = tuple(GroupAccuracy("bird", name, 9, worst_group) for name in ("land", "water"))
    of_groups = {"groups": groups, "named_groups": ()}
    return SplitMetrics(**{**other, "worst_group": worst_group, "average": average, **of_groups})


FINE = accuracies(0.7, 0.8)
HISTORY = {
    "step": np.array([10, 20, 30]),
    "calibration_accuracy": np.array([0.2, 0.6, 0.9]),
    "val worst-class": np.array([0.5, 0.7, 0.7]),
}


class TestOfCfr:
    def test_a_good_run_has_none(self):
        erm = accuracies(0.5, 0.82)
        assert warning_signs.cfr_warnings(FINE, erm, HISTORY, "worst-class") == []

    @pytest.mark.parametrize("theirs", [0.7, 0.712])
    def test_worst_group_not_above_erm(self, theirs):
        found = warning_signs.cfr_warnings(FINE, accuracies(theirs, 0.8), HISTORY, "worst-class")
        assert found == [
            "CFR's worst-group accuracy on val (70.0 %) is not above ERM's "
            f"({100 * theirs:.1f} %): recalibration does not reach the spurious feature"
        ]

    def test_no_gain_is_expected_on_a_val_split_that_shares_the_correlations(self):
        assert (
            warning_signs.cfr_warnings(FINE, accuracies(0.7, 0.8), HISTORY, "worst-class", True)
            == []
        )

    def test_average_well_below_erm(self):
        found = warning_signs.cfr_warnings(FINE, accuracies(0.1, 0.9), HISTORY, "worst-class")
        assert found == [
            "CFR's average accuracy on val (80.0 %) is well below ERM's (90.0 %): over-correction"
        ]

    @pytest.mark.parametrize("criterion", ["worst-class", "inferred-groups"])
    def test_over_fitting_the_calibration_set(self, criterion):
        steady = dict.fromkeys(("val worst-class", "val inferred-groups"), np.full(3, 0.7))
        history = {**HISTORY, **steady, f"val {criterion}": np.array([0.5, 0.7, 0.6])}
        found = warning_signs.cfr_warnings(FINE, accuracies(0.1, 0.8), history, criterion)
        assert found == [
            "after step 20 accuracy on minibatches of the calibration set rose from 60.0 % to "
            f"90.0 % while val {criterion} fell from 70.0 % to 60.0 %: over-fitting the "
            "calibration set"
        ]

    def test_a_fall_of_both_is_not_over_fitting(self):
        history = {
            **HISTORY,
            "val worst-class": np.array([0.5, 0.7, 0.6]),
            "calibration_accuracy": np.array([0.2, 0.9, 0.6]),
        }
        assert warning_signs.check_overfitting(history, "worst-class") is None


class TestOfCalibrationSet:
    def test_the_minority_has_none(self):
        assert warning_signs.calibration_set_warnings(TASK, minority()) == []

    def test_nearly_empty(self):
        rows = CalibrationSet(minority().rows[:31])
        assert warning_signs.calibration_set_warnings(TASK, rows) == [
            "the calibration set is nearly empty (31 rows): CFR relies on few images"
        ]

    def test_of_the_fallback(self):
        found = warning_signs.calibration_set_warnings(TASK, replace(minority(), fallback=True))
        count = len(minority().rows)
        assert found == [
            f"the source head misclassifies too few rows: the {count} training rows of smallest "
            "margin are the calibration set"
        ]

    def test_one_class_only(self):
        found = warning_signs.calibration_set_warnings(TASK, rows_of(label=1))
        assert found == [
            "the calibration set holds only class 'class 1': it cannot help the others"
        ]

    def test_the_group_mix_of_the_training_split(self):
        found = warning_signs.calibration_set_warnings(TASK, CalibrationSet(TASK.rows("train")))
        assert found == [
            "the calibration set has the same group mix as the training split "
            "(total variation 0.00): it cannot shift attention between groups"
        ]

    def test_the_group_mix_is_not_named_where_attributes_are_not_known(self):
        attributes = np.zeros(len(TASK.labels), np.int32)
        one = replace(TASK, attribute_names=("any",), attributes=attributes)
        assert warning_signs.calibration_set_warnings(one, CalibrationSet(one.rows("train"))) == []


class TestOfTask:
    def test_a_whole_task_has_none(self):
        assert warning_signs.task_warnings(TASK) == []

    def test_unreadable_rows(self):
        assert warning_signs.task_warnings(make_task(unreadable=3)) == [
            "9 images could not be read at extraction and are left out"
        ]

    def test_one_attribute(self):
        attributes = np.zeros(len(TASK.labels), np.int32)
        one = replace(TASK, attribute_names=("any",), attributes=attributes)
        assert warning_signs.task_warnings(one) == [
            "the images have no attribute, so accuracies are by class only; name one in words with "
            "--attribute (the command explain suggests words)"
        ]

        assert warning_signs.task_warnings(one, is_shared=True) == []

    def test_an_attribute_named_in_words_is_one(self):
        attributes = np.zeros(len(TASK.labels), np.int32)
        margins = np.ones(len(TASK.labels), np.float32)
        named = NamedAttribute("colour", ("red", "green"), TASK.attributes, margins)
        one = replace(TASK, attribute_names=("any",), attributes=attributes, named=(named,))
        assert warning_signs.task_warnings(one) == []

    def test_empty_groups(self):
        assert warning_signs.task_warnings(make_task(agreement=(1.0, 0.5, 1.0))) == [
            f"no rows in {split} of (class 0, attribute 1), (class 1, attribute 0): "
            "not counted in any group metric"
            for split in ("train", "test")
        ]

    def test_of_many_empty_groups_the_first_are_named(self):
        many = make_task(classes=5, sizes=(900, 450, 450), agreement=(0.5, 0.5, 1.0))
        assert warning_signs.task_warnings(many) == [
            "no rows in test of (class 0, attribute 1), (class 0, attribute 2), "
            "(class 0, attribute 3), (class 0, attribute 4), (class 1, attribute 0), "
            "(class 1, attribute 2) and 14 more groups: not counted in any group metric"
        ]


def test_without_attributes_the_worst_group_is_the_worst_class():
    metrics = accuracies(0.5, 0.8)
    alone = replace(metrics, groups=metrics.groups[:1])
    assert warning_signs.check_gain(alone, alone).startswith("CFR's worst-class accuracy on val ")
