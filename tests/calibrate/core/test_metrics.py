"""Metrics against loops over rows and against scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from clip_cfr.calibrate.core.metrics import (
    Predictions,
    auroc,
    cell_accuracies,
    evaluate,
    expected_calibration_error,
    train_weighted_average,
    worst,
)
from tests.calibrate.synthetic import make_task


def predict(task, split: str = "test", seed: int = 0) -> Predictions:
    """Logits of random probabilities that lean to the label."""
    rng, rows = np.random.default_rng(seed), task.rows(split)
    scores = (
        rng.random((len(rows), task.num_classes))
        + 0.5 * np.eye(task.num_classes)[task.labels[rows]]
    )
    return Predictions(split, rows, np.log(scores).astype("f4"))


def group_accuracies(task, predictions):
    """Accuracy of every group that has rows, row by row: {(label, attribute): (hits, rows)}."""
    found = {}
    for row, chances in zip(predictions.rows, predictions.probabilities, strict=True):
        group = task.labels[row], task.attributes[row]
        hits, count = found.get(group, (0, 0))
        found[group] = hits + (chances.argmax() == task.labels[row]), count + 1
    return found


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("split", ["val", "test"])
class TestEvaluate:
    def test_accuracies_are_those_of_a_loop(self, classes, split):
        task = make_task(classes=classes)
        predictions = predict(task, split)
        found, groups = evaluate(task, predictions), group_accuracies(task, predictions)
        by_group = {group: hits / count for group, (hits, count) in groups.items()}
        assert found.worst_group == pytest.approx(min(by_group.values()))
        assert found.group_mean == pytest.approx(sum(by_group.values()) / len(by_group))
        hits, counts = (sum(column) for column in zip(*groups.values(), strict=True))
        assert found.average == pytest.approx(hits / counts)
        train = task.rows("train")
        sizes = {
            (y, a): np.sum((task.labels[train] == y) & (task.attributes[train] == a))
            for y, a in by_group
        }
        weighted = sum(sizes[group] * by_group[group] for group in by_group)
        assert found.train_weighted_average == pytest.approx(weighted / sum(sizes.values()))
        for group in found.groups:
            number = int(group.label.split()[1]), int(group.attribute.split()[1])
            assert group.n == groups.get(number, (0, 0))[1]
            assert group.accuracy == pytest.approx(by_group.get(number))

    def test_class_metrics_are_scikit_learn_s(self, classes, split):
        task = make_task(classes=classes)
        predictions = predict(task, split)
        found, labels = evaluate(task, predictions), task.labels[predictions.rows]
        guesses = predictions.probabilities.argmax(axis=1)
        assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, guesses))
        recalls = [(guesses[labels == each] == each).mean() for each in range(classes)]
        assert found.worst_class == pytest.approx(min(recalls))
        if classes == 2:
            expected = roc_auc_score(labels, predictions.logits[:, 1] - predictions.logits[:, 0])
            assert found.auroc == pytest.approx(expected)
        else:
            assert found.auroc is None


class TestAverages:
    """The three averages, by hand: accuracies 1, 0.5 and 0 of groups of 1, 2 and 1 rows."""

    accuracies = np.array([1.0, 0.5, 0.0, np.nan])

    def test_train_weighted(self):
        assert train_weighted_average(self.accuracies, np.array([8, 2, 0, 90])) == pytest.approx(
            0.9
        )

    def test_train_weighted_over_groups_that_training_has_none_of(self):
        assert train_weighted_average(self.accuracies, np.array([0, 0, 0, 5])) is None

    def test_cells_without_rows_are_nan_and_never_the_worst(self):
        correct, cells = np.array([True, True, False, False]), np.array([0, 1, 1, 3])
        found = cell_accuracies(correct, cells, 5)
        assert found == pytest.approx(np.array([1, 0.5, np.nan, 0, np.nan]), nan_ok=True)
        assert worst(correct[:3], cells[:3], 5) == 0.5


class TestGroups:
    def test_an_empty_group_is_none_and_does_not_count(self):
        task = make_task(agreement=(0.95, 0.5, 1.0))
        found = evaluate(task, predict(task))
        empty = [each for each in found.groups if each.accuracy is None]
        assert [(each.label, each.attribute, each.n) for each in empty] == [
            ("class 0", "attribute 1", 0),
            ("class 1", "attribute 0", 0),
        ]
        assert found.worst_group == found.worst_class

    def test_with_one_attribute_groups_are_classes(self):
        task = make_task()
        task = replace(
            task, attribute_names=("any",), attributes=np.zeros(len(task.labels), np.int32)
        )
        found = evaluate(task, predict(task))
        assert found.worst_group == found.worst_class
        assert found.group_mean == found.balanced_accuracy
        assert [each.label for each in found.groups] == ["class 0", "class 1"]

    def test_unreadable_rows_count_nowhere(self):
        task = make_task(unreadable=10)
        found = evaluate(task, predict(task))
        assert sum(each.n for each in found.groups) == 400 - 10


class TestCalibrationError:
    def test_is_that_of_a_loop_over_bins(self, rng):
        confidence, correct = rng.uniform(0.3, 1, 500), rng.random(500) < 0.6
        total = 0.0
        for number in range(15):
            inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
            if inside.any():
                gap = abs(correct[inside].mean() - confidence[inside].mean())
                total += gap * inside.mean()
        assert expected_calibration_error(confidence, correct) == pytest.approx(total)

    def test_by_hand(self):
        """Two bins, of which the lower holds its upper edge: gaps of 0.5 and 0.9."""
        found = expected_calibration_error(np.array([0.5, 0.9]), np.array([True, False]), bins=2)
        assert found == pytest.approx(0.7)

    @pytest.mark.parametrize(("correct", "error"), [(True, 0), (False, 1)])
    def test_of_certainty(self, correct, error):
        found = expected_calibration_error(np.ones(4), np.full(4, correct))
        assert found == pytest.approx(error)


def test_auroc_needs_two_classes_that_occur():
    chances = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert auroc(chances, np.array([1, 0])) == 1
    assert auroc(chances, np.array([1, 1])) is None
    assert auroc(np.ones((2, 3)) / 3, np.array([1, 0])) is None


def test_auroc_counts_equal_differences_as_half_right(rng):
    labels = rng.integers(2, size=300)
    differences = rng.integers(5, size=300) / 4
    found = auroc(np.stack([np.ones(300), 1 + differences], axis=1), labels)
    assert found == pytest.approx(roc_auc_score(labels, differences))
    assert auroc(np.full((2, 2), 0.5), np.array([1, 0])) == 0.5


def test_auroc_tells_logits_apart_whose_probabilities_round_to_one(rng):
    labels = rng.integers(2, size=400)
    cosines = 0.2 * rng.normal(size=(400, 2)) + 0.1 * np.eye(2)[labels]
    predictions = Predictions("test", np.arange(400), (100 * cosines).astype(np.float32))
    rounded = roc_auc_score(labels, predictions.probabilities[:, 1])
    expected = roc_auc_score(labels, cosines[:, 1] - cosines[:, 0])
    assert abs(rounded - expected) > 1e-3, "probabilities did not saturate"
    assert auroc(predictions.logits, labels) == pytest.approx(expected, abs=1e-6)


def test_probabilities_are_the_softmax_of_logits():
    logits = np.array([[np.log(3), 0.0], [1e4, 0.0]], np.float32)
    found = Predictions("test", np.arange(2), logits).probabilities
    assert found == pytest.approx(np.array([[0.75, 0.25], [1, 0]]))
