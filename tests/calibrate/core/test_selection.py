"""Validation criteria, and the heads that they select."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_cfr.calibrate.core.inferred_groups import criterion_value
from clip_cfr.calibrate.core.selection import label_criteria
from clip_cfr.calibrate.core.settings import CRITERIA, SELECTIONS
from clip_cfr.calibrate.methods import fit

compute_criteria = jax.jit(label_criteria, static_argnums=3)


def expected_criteria(correct, labels, groups):
    """Worst-class, average and worst-group accuracy, row by row."""
    by_class = [correct[labels == each].mean() for each in np.unique(labels)]
    by_group = [correct[groups == each].mean() for each in np.unique(groups)]
    values = {"worst-class": min(by_class), "average": correct.mean()}
    return {**values, "worst-group": min(by_group)}


def criteria_of_rows(correct, labels, attributes):
    """Criteria of rows of three classes and three attributes."""
    groups = labels * 3 + attributes
    hits = np.bincount(groups, weights=correct, minlength=9).astype(np.float32)
    counts = np.bincount(groups, minlength=9).astype(np.float32)
    group_labels = np.arange(9, dtype=np.int32) // 3
    return {name: float(x) for name, x in compute_criteria(hits, counts, group_labels, 3).items()}


class TestCriteria:
    @settings(deadline=None)
    @given(st.integers(0, 10**6))
    def test_equal_those_computed_row_by_row(self, seed):
        rng = np.random.default_rng(seed)
        labels, attributes, correct = rng.integers(3, size=(3, 40))
        found = criteria_of_rows(correct > 0, labels, attributes)
        expected = expected_criteria(correct > 0, labels, labels * 3 + attributes)
        assert found == pytest.approx(expected, rel=1e-6)

    @settings(deadline=None)
    @given(st.integers(0, 10**6))
    def test_worst_class_and_average_do_not_depend_on_attributes(self, seed):
        """Not even in the last bit, which could decide between equal values."""
        rng = np.random.default_rng(seed)
        labels, correct = rng.integers(3, size=(2, 173))
        first, second = (
            criteria_of_rows(correct > 0, labels, rng.integers(3, size=173)) for _ in range(2)
        )
        for name in ("worst-class", "average"):
            assert first[name] == second[name]


class TestSelectedHeads:
    @pytest.fixture(params=["erm", "cfr"])
    def fitted(self, request, overlapping):
        return fit(request.param, overlapping)

    def test_have_the_values_that_selected_them(self, fitted, overlapping):
        task, rows = overlapping.task, overlapping.task.rows("val")
        labels = task.labels[rows]
        for name in CRITERIA:
            predicted = fitted.classifiers[name].logits(overlapping, rows).argmax(axis=1)
            correct = predicted == labels
            inferred = criterion_value(correct, task.inferred_groups[rows], task.num_classes)
            values = expected_criteria(correct, labels, task.groups[rows])
            values["worst-named-group"] = values["worst-class"]  # No attribute is named.
            value = {**values, "inferred-groups": inferred}[name]
            assert value == pytest.approx(fitted.history[f"val {name}"].max(), abs=1e-6), name

    def test_are_the_earliest_of_equal_values(self, fitted):
        for name in CRITERIA:
            best = fitted.history[f"val {name}"].argmax()
            assert fitted.selected_steps[name] == fitted.history["step"][best]

    def test_the_last_head_is_that_of_the_last_step(self, fitted, overlapping):
        task, rows = overlapping.task, overlapping.task.rows("val")
        predicted = fitted.classifiers["last"].logits(overlapping, rows).argmax(axis=1)
        assert fitted.selected_steps["last"] == 60
        average = (predicted == task.labels[rows]).mean()
        assert average == pytest.approx(fitted.history["val average"][-1], abs=1e-6)

    def test_are_named_by_criterion(self, fitted):
        assert tuple(fitted.classifiers) == SELECTIONS == (*CRITERIA, "last")

    def test_group_accuracies_are_logged(self, fitted, overlapping):
        task, history = overlapping.task, fitted.history
        groups = np.stack([history[f"val group {index}"] for index in range(task.num_groups)])
        assert groups.min(axis=0) == pytest.approx(history["val worst-group"], abs=1e-6)
        counts = task.group_counts("val")
        average = counts @ groups / counts.sum()
        assert average == pytest.approx(history["val average"], abs=1e-6)


def test_the_overlapping_task_tells_the_earliest_best_and_last_head_apart(overlapping):
    values = fit("erm", overlapping).history["val worst-class"]
    assert (values == values.max()).sum() > 1
    assert values.argmax() < len(values) - 1

    def test_the_log_has_the_correct_rows_of_each_evaluation(self, fitted, overlapping):
        task, rows = overlapping.task, overlapping.task.rows("val")
        steps = fitted.history["step"].tolist()
        assert fitted.val_correct.shape == (len(steps), len(rows))
        for name, step in fitted.selected_steps.items():
            predicted = fitted.classifiers[name].logits(overlapping, rows).argmax(axis=1)
            expected = predicted == task.labels[rows]
            assert fitted.val_correct[steps.index(step)].tolist() == expected.tolist()
