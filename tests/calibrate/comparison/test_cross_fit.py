"""Cross-fitting: halves, the classifier that each selects, and what selection does to a gain."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.comparison.cross_fit import cross_fit, draw_halves
from clip_cfr.calibrate.comparison.differences import TAIL, compare_lowest
from clip_cfr.calibrate.core.settings import CRITERIA
from tests.calibrate.inferred import inferred_value
from tests.calibrate.synthetic import make_task

TASK = make_task(sizes=(50, 400, 10))


def value(task, correct, rows, selection: str) -> float:
    """Return the criterion on rows of val, cell by cell."""
    if selection == "inferred-groups":
        return inferred_value(task, correct, rows)
    val = task.rows("val")[rows]
    cells = dict.fromkeys(("worst-class", "worst-named-group"), task.labels)
    cells["worst-group"] = task.groups
    cells = cells.get(selection, np.zeros(len(task.labels), int))[val]
    return min(correct[rows][cells == cell].mean() for cell in np.unique(cells))


class TestHalves:
    def test_halve_each_class(self, rng):
        labels = rng.integers(3, size=101)
        second = draw_halves(rng, labels, None)
        for label in range(3):
            assert abs(second[labels == label].sum() - (~second)[labels == label].sum()) <= 1

    def test_keep_subjects_together(self, rng):
        subjects = rng.integers(20, size=200) * 3
        second = draw_halves(rng, rng.integers(2, size=200), subjects)
        assert all(len(set(second[subjects == each])) == 1 for each in np.unique(subjects))
        assert len(set(subjects[second])) == 10

    def test_depend_on_the_seed_alone(self):
        labels = np.arange(50) % 2
        first, again, other = (
            draw_halves(np.random.default_rng(seed), labels, None) for seed in (1, 1, 2)
        )
        assert (first == again).all()
        assert (first != other).any()


@pytest.mark.parametrize("selection", CRITERIA)
def test_each_half_is_judged_by_the_classifier_that_the_other_selects(rng, selection):
    correct = rng.random((8, 400)) < rng.uniform(0.5, 0.9, size=(8, 1))
    second = draw_halves(rng, TASK.labels[TASK.rows("val")], None)
    found = cross_fit(TASK, correct, selection, second)
    for half in (second, ~second):
        best = np.argmax([value(TASK, each, ~half, selection) for each in correct])
        assert (found[half] == correct[best][half]).all()


def test_last_needs_no_halves(rng):
    correct = rng.random((8, 400)) < 0.7
    found = cross_fit(TASK, correct, "last", np.arange(400) < 200)
    assert (found == correct[-1]).all()


def test_of_equal_classifiers_the_first_is_selected(rng):
    same = np.tile(rng.random(400) < 0.7, (3, 1))
    other = same.copy()
    other[1:, np.flatnonzero(TASK.labels[TASK.rows("val")] == 0)] = True
    found = cross_fit(TASK, other, "average", np.arange(400) % 2 == 0)
    assert (found == other[1]).all()


def test_with_one_subject_all_rows_select(rng):
    correct = rng.random((4, 400)) < np.array([0.5, 0.6, 0.9, 0.7])[:, None]
    task = replace(TASK, subjects=np.zeros(len(TASK.labels), np.int32))
    second = draw_halves(rng, task.labels[task.rows("val")], task.subjects[task.rows("val")])
    assert (cross_fit(task, correct, "worst-class", second) == correct[2]).all()


def test_selecting_among_equal_classifiers_makes_no_gain():
    """The best of 60 evaluations, of 0.7 and 0.9 in the two classes, against one of 0.7 in both."""
    rng, labels = np.random.default_rng(0), TASK.labels[TASK.rows("val")]
    above = {"selected": 0, "cross-fitted": 0}
    for _ in range(200):
        # Half of the rows change from evaluation to evaluation.
        draws = np.where(rng.random((61, 400)) < 0.5, rng.random((61, 400)), rng.random(400))
        erm, rivals = draws[:1] < 0.7, draws[1:] < np.array([0.7, 0.9])[labels]
        second = draw_halves(rng, labels, None)
        best = np.argmax([value(TASK, each, np.full(400, True), "worst-class") for each in rivals])
        judged = {
            "selected": rivals[best],
            "cross-fitted": cross_fit(TASK, rivals, "worst-class", second),
        }
        for name, each in judged.items():
            above[name] += compare_lowest(each[None], erm, labels, None).interval()[0] > 0
    assert above["selected"] / 200 > 0.15
    assert above["cross-fitted"] / 200 <= TAIL + 3 * np.sqrt(TAIL * (1 - TAIL) / 200)
