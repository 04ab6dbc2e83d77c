"""The recommendation: only what beats ERM by more than noise, and never with group labels."""

import numpy as np
import pytest

from clip_cfr.calibrate.comparison.recommendation import list_candidates, recommend
from clip_cfr.calibrate.core.metrics import Predictions
from clip_cfr.calibrate.methods import GROUP_LABELS
from tests.calibrate.synthetic import make_task

TASK = make_task(sizes=(50, 800, 10))


def predictions(right: float, seed: int, task=TASK):
    """Predictions on val of which a share `right` is right in every group."""
    rng, rows = np.random.default_rng(seed), task.rows("val")
    labels = task.labels[rows]
    guesses = np.where(rng.random(len(rows)) < right, labels, (labels + 1) % task.num_classes)
    return Predictions("val", rows, np.eye(task.num_classes, dtype=np.float32)[guesses])


def advise(task=TASK, selection="worst-class", **shares):
    """The recommendation where each method gets so large shares right, one for each seed."""
    found = {
        name: [predictions(share, hash_of(name, n), task) for n, share in enumerate(each)]
        for name, each in shares.items()
    }
    return recommend(np.random.default_rng(0), task, found, selection)


def hash_of(name: str, number: int) -> int:
    return sum(map(ord, name)) * 10 + number


class TestOneSeed:
    def test_a_clear_win_is_recommended(self):
        found = advise(zeroshot=[0.5], erm=[0.6], cfr=[0.85])
        assert (found.method, found.over, found.criterion) == ("cfr", "erm", "worst-class")
        assert found.margin == pytest.approx(0.25, abs=0.06)
        assert 0 < found.interval[0] < found.margin < found.interval[1]
        low, high = (f"{100 * bound:+.1f}" for bound in found.interval)
        assert found.reason == (
            f"CFR is {100 * found.margin:.1f} points above ERM in validation worst-class accuracy "
            f"(95 % interval {low} to {high}), which is beyond noise"
        )

    def test_within_noise_erm_is(self):
        found = advise(zeroshot=[0.5], erm=[0.70], cfr=[0.71])
        assert (found.method, found.over) == ("erm", "cfr")
        assert found.interval[0] < 0 < found.interval[1]
        low, high = (f"{-100 * bound:+.1f}" for bound in reversed(found.interval))
        assert found.reason == (
            f"CFR, the best other method, is {-100 * found.margin:.1f} points above ERM in "
            f"validation worst-class accuracy (95 % interval {low} to {high}), which is within "
            "noise"
        )

    def test_where_cfr_does_harm_erm_is_by_so_much(self):
        found = advise(zeroshot=[0.5], erm=[0.8], cfr=[0.6])
        assert (found.method, found.over) == ("erm", "cfr")
        assert found.margin == pytest.approx(0.2, abs=0.06)
        assert found.interval[0] > 0
        assert found.reason.startswith("ERM is ")
        assert " points above CFR, the best other method, in " in found.reason
        assert found.reason.endswith("), which is beyond noise")

    def test_an_oracle_is_called_one(self):
        found = advise(selection="worst-group", erm=[0.6], cfr=[0.9])
        assert "worst-group accuracy (an oracle: it uses the group labels) (95 %" in found.reason

    def test_equal_values_are_called_equal(self):
        found = advise(erm=[0.0], cfr=[0.0])
        assert found.reason == (
            "CFR, the best other method, has the same validation worst-class accuracy as ERM"
        )

    def test_class_means_are_not_called_zero_shot(self):
        shares = {"zeroshot": [predictions(0.5, 1)], "cfr": [predictions(0.9, 2)]}
        rng = np.random.default_rng(0)
        found = recommend(rng, TASK, shares, "worst-class", class_embeddings="class means")
        assert " points above class means in " in found.reason

    def test_between_equals_the_margin_is_a_plain_zero(self):
        found = advise(zeroshot=[0.0], erm=[0.0], cfr=[0.0])
        assert str([found.margin, *found.interval]) == "[0.0, 0.0, 0.0]"

    def test_zero_shot_is_where_training_does_harm(self):
        assert advise(zeroshot=[0.9], erm=[0.6], cfr=[0.7]).method == "zeroshot"

    def test_without_erm_the_first_is_the_one_to_beat(self):
        found = advise(zeroshot=[0.5], cfr=[0.8])
        assert (found.method, found.over) == ("cfr", "zeroshot")

    def test_of_one_method_there_is_none(self):
        assert advise(erm=[0.9]) is None

    def test_of_none_there_is_none(self):
        assert advise() is None

    @pytest.mark.parametrize(
        ("selection", "criterion"),
        [("worst-group", "worst-group"), ("average", "average"), ("last", "worst-class")],
    )
    def test_names_the_criterion(self, selection, criterion):
        found = advise(selection=selection, erm=[0.6], cfr=[0.9])
        assert (found.criterion, found.method) == (criterion, "cfr")

    def test_equal_predictions_are_not_a_gain(self):
        same = [predictions(0.7, 1)]
        found = recommend(np.random.default_rng(0), TASK, {"erm": same, "cfr": same}, "worst-class")
        assert (found.method, found.margin, found.interval) == ("erm", 0, (0, 0))


def test_seeds_are_averaged():
    found = advise(erm=[0.6, 0.6, 0.6], cfr=[0.9, 0.6, 0.9])
    assert found.margin == pytest.approx(0.2, abs=0.05)
    assert found.method == "cfr"


def test_rows_of_one_subject_make_no_win():
    """A gain that rows would call certain is within noise where all rows are of few subjects."""
    shares = {"erm": [0.70], "cfr": [0.76]}
    few = make_task(sizes=(50, 800, 10), rows_per_subject=200)
    assert advise(**shares).interval[0] > 0
    rows = few.rows("val")
    wrong_in_one_subject = {}
    for name, wrong in (("erm", 200), ("cfr", 150)):
        guesses = few.labels[rows].copy()
        guesses[:wrong] = 1 - guesses[:wrong]
        chances = np.eye(2, dtype=np.float32)[guesses]
        wrong_in_one_subject[name] = [Predictions("val", rows, chances)]
    found = recommend(np.random.default_rng(0), few, wrong_in_one_subject, "average")
    assert found.interval[0] <= 0
    assert found.method == "erm"


def test_methods_with_group_labels_are_never_candidates():
    assert set(list_candidates(list(GROUP_LABELS))).isdisjoint({"dfr"})
    assert all(GROUP_LABELS[name] == "none" for name in list_candidates(list(GROUP_LABELS)))
    assert list_candidates(["dfr"]) == []
