"""The recommendation: only methods that beat ERM beyond noise, and none with group labels."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.comparison.differences import TAIL
from clip_cfr.calibrate.comparison.recommendation import list_candidates, recommend
from clip_cfr.calibrate.methods import METHODS, load_method
from tests.calibrate.synthetic import make_task

TASK = make_task(sizes=(50, 800, 10))
LABELS = TASK.labels[TASK.rows("val")]


def draw_correct(share, seed: int, task=TASK):
    """Draw whether a method is right about each row of val, with the same share in every group.

    Two shares are those of the two classes.
    """
    labels = task.labels[task.rows("val")]
    return np.random.default_rng(seed).random(len(labels)) < np.broadcast_to(share, 2)[labels]


def advise(task=TASK, selection="worst-class", **shares):
    """Return the recommendation where each method gets such shares right, one for each seed."""
    found = {
        name: np.stack(
            [draw_correct(share, sum(map(ord, name)) * 10 + n) for n, share in enumerate(each)]
        )
        for name, each in shares.items()
    }
    return recommend(task, found, selection)


def points(bounds) -> str:
    """Return an interval as the sentence has it."""
    low, high = (f"{100 * bound:+.1f}" for bound in bounds)
    return f"(95 % interval {low} to {high})"


def turn(bounds):
    """Return the interval of the difference in the other direction."""
    return -bounds[1], -bounds[0]


class TestOneSeed:
    def test_a_clear_win_is_recommended(self):
        found = advise(zeroshot=[0.5], erm=[0.6], cfr=[0.85])
        assert (found.method, found.over, found.criterion) == ("cfr", "erm", "worst-class")
        assert found.margin == pytest.approx(0.25, abs=0.06)
        assert 0 < found.interval[0] < found.margin < found.interval[1]
        assert found.reason == (
            f"CFR is {100 * found.margin:.1f} points above ERM in validation worst-class accuracy "
            f"{points(found.interval)}, which is beyond noise; in average accuracy CFR is "
            f"{100 * found.average_margin:.1f} points above ERM {points(found.average_interval)}, "
            "which is beyond noise"
        )

    def test_within_noise_erm_is(self):
        found = advise(zeroshot=[0.5], erm=[0.70], cfr=[0.71])
        assert (found.method, found.over) == ("erm", "cfr")
        assert found.interval[0] < 0 < found.interval[1]
        assert found.reason == (
            f"CFR, the best other method, is {-100 * found.margin:.1f} points above ERM in "
            f"validation worst-class accuracy {points(turn(found.interval))}, which is within "
            f"noise; in average accuracy CFR is {-100 * found.average_margin:.1f} points above ERM "
            f"{points(turn(found.average_interval))}, which is within noise"
        )

    def test_if_cfr_does_harm_erm_is_by_that_margin(self):
        found = advise(zeroshot=[0.5], erm=[0.8], cfr=[0.6])
        assert (found.method, found.over) == ("erm", "cfr")
        assert found.margin == pytest.approx(0.2, abs=0.06)
        assert found.interval[0] > 0
        assert found.reason.startswith(
            f"ERM is {100 * found.margin:.1f} points above CFR, the best other method, in "
            f"validation worst-class accuracy {points(found.interval)}, which is beyond noise; "
        )

    def test_an_oracle_is_called_one(self):
        found = advise(selection="worst-group", erm=[0.6], cfr=[0.9])
        assert "worst-group accuracy (an oracle: it uses the group labels) (95 %" in found.reason

    def test_equal_values_are_called_equal(self):
        found = advise(erm=[0.0], cfr=[0.0])
        assert found.reason == (
            "CFR, the best other method, has the same validation worst-class accuracy as ERM; "
            "their average accuracy is the same"
        )

    def test_class_means_are_not_called_zero_shot(self):
        shares = {"zeroshot": draw_correct(0.5, 1)[None], "cfr": draw_correct(0.9, 2)[None]}
        found = recommend(TASK, shares, "worst-class", class_embeddings="class means")
        assert " points above class means in " in found.reason

    def test_between_equals_the_margin_is_a_plain_zero(self):
        found = advise(zeroshot=[0.0], erm=[0.0], cfr=[0.0])
        assert str([found.margin, found.average_margin]) == "[0.0, 0.0]"

    def test_zero_shot_is_recommended_if_training_does_harm(self):
        assert advise(zeroshot=[0.9], erm=[0.6], cfr=[0.7]).method == "zeroshot"

    def test_without_erm_the_first_is_the_reference(self):
        found = advise(zeroshot=[0.5], cfr=[0.8])
        assert (found.method, found.over) == ("cfr", "zeroshot")

    def test_of_one_method_there_is_none(self):
        assert advise(erm=[0.9]) is None

    def test_of_no_method_there_is_none(self):
        assert advise() is None

    @pytest.mark.parametrize(
        ("selection", "criterion"),
        [("worst-group", "worst-group"), ("average", "average"), ("last", "worst-class")],
    )
    def test_names_the_criterion(self, selection, criterion):
        found = advise(selection=selection, erm=[0.6], cfr=[0.9])
        assert (found.criterion, found.method) == (criterion, "cfr")

    def test_equal_predictions_are_not_a_gain(self):
        same = draw_correct(0.7, 1)[None]
        found = recommend(TASK, {"erm": same, "cfr": same}, "worst-class")
        assert (found.method, found.margin) == ("erm", 0)
        assert found.interval[0] < 0 < found.interval[1]


class TestAverage:
    def test_a_recommended_head_that_loses_on_average_says_so(self):
        found = advise(erm=[(0.5, 0.99)], cfr=[(0.65, 0.7)])
        assert found.method == "cfr"
        assert found.average_interval[1] < 0
        assert found.reason.endswith(", which is beyond noise: CFR costs average accuracy")
        assert f"CFR is {-100 * found.average_margin:.1f} points below ERM" in found.reason

    def test_decides_where_a_class_is_too_small_to(self):
        """Six rows of one class: nothing is beyond noise there, but CFR is far better elsewhere."""
        valid = TASK.valid.copy()
        valid[TASK.rows("val")[np.flatnonzero(LABELS == 1)[6:]]] = False
        task = replace(TASK, valid=valid)
        rows = task.labels[task.rows("val")]
        rng = np.random.default_rng(0)
        erm = np.where(rows == 1, np.cumsum(rows == 1) % 2 == 0, rng.random(len(rows)) < 0.54)
        cfr = np.where(rows == 1, np.cumsum(rows == 1) % 3 != 0, rng.random(len(rows)) < 0.88)
        found = recommend(task, {"erm": erm[None], "cfr": cfr[None]}, "worst-class")
        assert (found.method, found.over) == ("cfr", "erm")
        assert found.interval[0] < 0
        assert found.average_interval[0] > 0.2
        assert "which is within noise; in average accuracy CFR is" in found.reason
        assert found.reason.endswith(", which is beyond noise")

    def test_does_not_decide_against_the_worst_class(self):
        found = advise(erm=[(0.7, 0.7)], cfr=[(0.65, 0.99)])
        assert (found.method, found.over) == ("erm", "cfr")
        assert found.reason.endswith(", which is beyond noise: ERM costs average accuracy")

    def test_selection_by_average_names_it_once(self):
        found = advise(selection="average", erm=[0.6], cfr=[0.9])
        assert found.reason.count("average") == 1
        assert found.average_margin == found.margin


def test_seeds_are_averaged():
    found = advise(erm=[0.6] * 5, cfr=[0.9, 0.8, 0.85, 0.9, 0.8])
    assert found.margin == pytest.approx(0.25, abs=0.05)
    assert found.method == "cfr"


def test_seeds_that_disagree_make_no_win():
    """Rows alone would call the mean gain of 20 points beyond noise."""
    found = advise(erm=[0.6, 0.6, 0.6], cfr=[0.9, 0.6, 0.9])
    assert found.margin == pytest.approx(-0.2, abs=0.06)
    assert found.method == "erm"


def test_rows_of_one_subject_make_no_win():
    """A gain that is beyond noise by rows is within noise by subjects, which are few."""
    correct = {}
    for name, wrong in (("erm", 200), ("cfr", 150)):
        correct[name] = (np.arange(800) >= wrong)[None]
    assert recommend(TASK, correct, "average").method == "cfr"
    few = make_task(sizes=(50, 800, 10), rows_per_subject=200)
    found = recommend(few, correct, "average")
    assert found.interval[0] <= 0
    assert found.method == "erm"


@pytest.mark.parametrize("accuracies", [(0.7, 0.7), (0.7, 0.9)])
@pytest.mark.parametrize("rivals", [1, 4])
def test_equal_methods_are_named_at_most_at_the_stated_rate(rivals, accuracies):
    rng, named = np.random.default_rng(0), 0
    names = ("zeroshot", "cfr", *sorted(set(METHODS) - {"zeroshot", "cfr", "erm"}))[:rivals]
    for _ in range(300):
        correct = {
            name: (rng.random(800) < np.array(accuracies)[LABELS])[None] for name in ("erm", *names)
        }
        named += recommend(TASK, correct, "worst-class").method != "erm"
    assert named / 300 <= TAIL + 3 * np.sqrt(TAIL * (1 - TAIL) / 300)


@pytest.mark.parametrize("rivals", [1, 4])
def test_a_tied_worst_class_is_called_better_at_most_at_the_stated_rate(rivals):
    """The rivals are better in the other class, and may be named for their average."""
    rng, better = np.random.default_rng(0), 0
    names = ("zeroshot", "cfr", *sorted(set(METHODS) - {"zeroshot", "cfr", "erm"}))[:rivals]
    for _ in range(300):
        correct = {"erm": (rng.random(800) < 0.7)[None]}
        for name in names:
            correct[name] = (rng.random(800) < np.array([0.7, 0.9])[LABELS])[None]
        found = recommend(TASK, correct, "worst-class")
        better += found.method != "erm" and found.interval[0] > 0
    assert better / 300 <= TAIL + 3 * np.sqrt(TAIL * (1 - TAIL) / 300)


def test_methods_with_group_labels_are_never_candidates():
    assert set(list_candidates(METHODS)).isdisjoint({"dfr"})
    assert all(load_method(name).group_labels == "none" for name in list_candidates(METHODS))
    assert list_candidates(["dfr"]) == []
