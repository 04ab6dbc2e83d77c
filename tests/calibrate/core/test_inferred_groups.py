"""Inferred groups: class x whether CLIP's own head is right."""

import numpy as np
import pytest

from clip_cfr.calibrate.core.head import compute_logits
from clip_cfr.calibrate.core.inferred_groups import (
    count_large,
    criterion_value,
    infer_groups,
    mean_accuracy,
    predict_zero_shot,
)

LABELS = np.array([0, 0, 1, 1, 1])
LOGITS = np.array([[2, 1], [1, 2], [0, 1], [1, 0], [3, 4]], np.float32)


def test_a_group_is_a_class_and_whether_the_prediction_is_right():
    assert infer_groups(LOGITS, LABELS).tolist() == [1, 0, 3, 2, 3]


def test_the_value_is_the_mean_accuracy_over_groups():
    groups = np.repeat([0, 1, 2, 3], [3, 5, 4, 8])
    correct = np.zeros(20, bool)
    correct[[0, 3, 4, 8, 12, 13, 14, 15]] = True  # 1 of 3, 2 of 5, 1 of 4, 4 of 8
    assert mean_accuracy(correct, groups, 2) == pytest.approx((1 / 3 + 2 / 5 + 1 / 4 + 1 / 2) / 4)
    both = mean_accuracy(np.stack([correct, ~correct]), groups, 2)
    assert both == pytest.approx([both[0], 1 - both[0]])


def test_the_criterion_weighs_average_worst_class_and_groups_alike():
    groups = np.repeat([0, 1, 4, 5], [3, 5, 4, 8])  # No row has class 1.
    correct = np.zeros(20, bool)
    correct[[0, 3, 4, 8, 12, 13, 14, 15]] = True
    expected = (8 / 20 + 3 / 8 + (1 / 3 + 2 / 5 + 1 / 4 + 1 / 2) / 4) / 3
    assert criterion_value(correct, groups, 3) == pytest.approx(expected)
    both = criterion_value(np.stack([correct, correct | True]), groups, 3)
    assert both == pytest.approx([expected, 1])


def test_the_value_of_the_criterion_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(0)
    groups, correct = rng.integers(0, 14, 301), rng.random((20, 301)) < 0.7
    order = rng.permutation(301)
    found = criterion_value(correct[:, order], groups[order], 7)
    assert found.tolist() == criterion_value(correct, groups, 7).tolist()


def test_groups_of_one_or_two_rows_do_not_count():
    groups = np.repeat([0, 1, 2, 3], [2, 5, 1, 8])
    assert count_large(groups, 2).tolist() == [0, 5, 0, 8]
    correct = groups == 1
    assert mean_accuracy(correct, groups, 2) == pytest.approx(1 / 2)


def test_if_all_groups_are_small_all_count():
    assert count_large(np.array([0, 1, 1, 3]), 2).tolist() == [1, 2, 0, 1]


@pytest.mark.parametrize("bias", [None, 0.5])
def test_predictions_are_those_of_the_zero_shot_head(experiment, task, bias):
    rows = np.arange(0, 900, 7)
    shift = None if bias is None else np.full(task.projection.shape[1], bias, np.float32)
    found = predict_zero_shot(
        task.features, rows, task.projection, shift, task.class_embeddings
    ).argmax(axis=1)
    embeddings = task.features[rows].astype(np.float64) @ task.projection + (bias or 0)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert found.tolist() == (embeddings @ task.class_embeddings.T).argmax(axis=1).tolist()


def test_rows_of_val_and_test_have_inferred_groups(experiment):
    task, prepared = experiment.task, experiment.prepared
    assert (task.inferred_groups[task.rows("train")] == -1).all()
    rows = np.concatenate([task.rows("val"), task.rows("test")])
    logits = compute_logits(
        experiment.zeroshot_head(), prepared.features, prepared.class_embeddings, rows
    )
    expected = infer_groups(logits, task.labels[rows])
    assert task.inferred_groups[rows].tolist() == expected.tolist()
