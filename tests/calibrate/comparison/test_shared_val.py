"""Whether val shares the correlations of train."""

from dataclasses import replace

import numpy as np
import pytest

from clip_cfr.calibrate.comparison.compare import evaluate_fitted
from clip_cfr.calibrate.comparison.shared_val import (
    describe_drawn_val,
    describe_remedies,
    describe_shared_val,
    is_rarer,
)
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.prepared import prepare
from clip_cfr.calibrate.methods import fit
from tests.calibrate.synthetic import make_task, quick_settings


def errors(count: int, rows: int) -> np.ndarray:
    """Return which of some rows are errors."""
    return np.arange(rows) < count


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [((50, 1000), (10, 200), False), ((50, 1000), (40, 200), True), ((0, 100), (1, 20), False)],
)
def test_errors_are_rarer_in_train_only_beyond_noise(train, val, expected):
    assert is_rarer(errors(*train), errors(*val)) is expected


def test_equal_rates_are_called_different_at_most_at_the_stated_rate(rng):
    found = [is_rarer(rng.random(2000) < 0.05, rng.random(400) < 0.05) for _ in range(2000)]
    assert np.mean(found) < 0.02


@pytest.fixture(scope="module")
def shared():
    """A task whose val rows are drawn like its training rows, fitted with ERM and CFR."""
    task = make_task(core=1.0, spurious=2.5)
    rows, splits = task.rows("train"), task.splits.copy()
    splits[task.rows("val")] = splits[task.rows("test")] = 2
    splits[rows[::3]] = 1
    return replace(task, splits=splits)


def outcomes_of(task, **settings):
    experiment = Experiment(prepare(task), quick_settings(**settings), 0)
    return {name: [evaluate_fitted(experiment, fit(name, experiment))] for name in ("erm", "cfr")}


def test_a_val_split_from_the_same_images_is_described_with_the_remedies(shared):
    found = describe_shared_val(outcomes_of(shared, selection="worst-class"))
    assert found.startswith("val looks like train: the identification head is wrong about ")
    assert found.endswith(
        " Name the attribute in words with --attribute (the command explain says what "
        "misclassified images have in common; if they are few, explain --split train), select with "
        "--selection inferred-groups, or label the attribute of some validation images"
    )


def test_the_selection_that_is_used_is_not_suggested(shared):
    found = describe_shared_val(outcomes_of(shared, selection="inferred-groups"))
    assert "cannot see the repair, and inferred groups see a part of it. Name the " in found
    assert "--selection" not in found


def test_groups_named_in_words_are_suggested_for_selection_not_named_again():
    assert describe_remedies("worst-class", has_named=True) == (
        "Select with --selection worst-named-group, or label the attribute of some "
        "validation images"
    )


def test_nothing_is_said_if_group_labels_select(shared):
    assert describe_shared_val(outcomes_of(shared, selection="worst-group")) is None


def test_nothing_is_said_of_a_balanced_val_split():
    task = make_task(core=1.0, spurious=2.5)
    assert describe_shared_val(outcomes_of(task)) is None


def test_nothing_is_said_without_an_identification_head(shared):
    experiment = Experiment(prepare(shared), quick_settings(), 0)
    assert (
        describe_shared_val({"erm": [evaluate_fitted(experiment, fit("erm", experiment))]}) is None
    )


def info_of(attributes=(0,), **provenance) -> dict:
    """Return the summary of a cache with images of some attributes, and none of attribute 9."""
    groups = [{"attribute": each, "n": 5} for each in attributes] + [{"attribute": 9, "n": 0}]
    return {"splits": {"train": {"groups": groups}}, "provenance": provenance}


DRAWN_INFO = info_of(drawn_splits=["val", "test"])


@pytest.mark.parametrize(
    ("info", "fraction", "also"),
    [
        (DRAWN_INFO, None, "; so was test, whose accuracies in the table see no more"),
        (info_of(), 0.2, ""),
    ],
)
@pytest.mark.parametrize("selection", ["worst-class", "worst-group", "last"])
def test_a_drawn_val_without_attributes_is_described_before_training(
    info, fraction, also, selection
):
    assert describe_drawn_val(info, fraction, ("zeroshot", "cfr"), selection, False) == (
        f"val was drawn from the same images as train, and no attribute is known{also}. Where "
        "class and attribute are correlated in train, they then are in val, and worst-class and "
        "average accuracy on val cannot see the repair. Name the attribute in words with "
        "--attribute (the command explain says what misclassified images have in common; if they "
        "are few, explain --split train), select with --selection inferred-groups, or label the "
        "attribute of some validation images"
    )


@pytest.mark.parametrize(
    ("info", "methods", "selection", "has_named"),
    [
        (info_of(), ("cfr",), "worst-class", False),
        (info_of(drawn_splits=["test"]), ("cfr",), "worst-class", False),
        (info_of((0, 1), drawn_splits=["val"]), ("cfr",), "worst-class", False),
        (DRAWN_INFO, ("cfr",), "worst-named-group", True),
        (DRAWN_INFO, ("zeroshot",), "worst-class", False),
    ],
)
def test_nothing_is_said_before_training_where_val_can_tell(info, methods, selection, has_named):
    assert describe_drawn_val(info, None, methods, selection, has_named) is None
