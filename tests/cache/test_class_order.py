"""Class embeddings in the order of the labels, and in another one."""

import numpy as np
import pytest

from clip_cfr.cache.class_order import (
    check_class_order,
    find_better_order,
    predict_zero_shot,
    sample_rows,
)

NAMES = ("cat", "dog", "fox", "owl", "elk", "bee")
REMEDY = "check the order of --class-embeddings, --class-names or --prompts"


def draw(accuracy: float, classes: int = 2, n: int = 240, order=None, seed: int = 0):
    """Return predictions and labels; predictions are right with a probability, else any."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    shown = labels if order is None else np.array(order)[labels]
    is_right = rng.random(n) < accuracy
    return np.where(is_right, shown, rng.integers(classes, size=n)), labels


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("accuracy", [0.0, 0.1, 0.3, 0.6, 0.9, 1.0])
def test_predictions_in_the_right_order_are_not_warned_of(classes: int, accuracy: float):
    for seed in range(20):
        assert check_class_order(*draw(accuracy, classes, seed=seed), NAMES[:classes]) is None


def test_one_class_for_every_row_is_not_warned_of():
    labels = np.arange(240) % 3
    for prediction in range(3):
        assert check_class_order(np.full(240, prediction), labels, NAMES[:3]) is None


def test_two_swapped_classes_are_named():
    assert check_class_order(*draw(1.0, order=[1, 0]), NAMES[:2]) == (
        "zero-shot is right for 0.0 % of the training rows that were tried, chance is 50.0 %: rows "
        "of 'cat' look like 'dog', rows of 'dog' look like 'cat'; with the classes in this order "
        f"it would be right for 100.0 %; {REMEDY}"
    )


@pytest.mark.parametrize("order", [[1, 2, 0, 3, 4, 5], [0, 1, 2, 3, 5, 4], [5, 4, 3, 2, 1, 0]])
@pytest.mark.parametrize("accuracy", [0.7, 1.0])
def test_any_permutation_is_found(order: list[int], accuracy: float):
    predictions, labels = draw(accuracy, 6, order=order)
    assert find_better_order(predictions, labels, 6).tolist() == order
    assert "look like" in check_class_order(predictions, labels, NAMES)


def test_one_class_that_looks_like_another_is_a_weakness_of_the_model():
    labels = np.arange(240) % 3
    predictions = np.where(labels == 2, 1, labels)
    assert check_class_order(predictions, labels, NAMES[:3]) is None


def test_far_below_chance_is_warned_of_even_without_a_better_order():
    labels = np.arange(240) % 4
    predictions = (labels + 1 + np.arange(240) // 4 % 3) % 4
    assert check_class_order(predictions, labels, NAMES[:4]) == (
        "zero-shot is right for 0.0 % of the training rows that were tried, chance is 25.0 %: "
        f"class embeddings or labels may be in another order; {REMEDY}"
    )


def test_few_rows_mean_nothing():
    assert check_class_order(*draw(1.0, n=8, order=[1, 0]), NAMES[:2]) is None
    assert check_class_order(np.array([], int), np.array([], int), NAMES) is None


def test_thousands_of_classes_need_no_square_of_memory():
    labels = np.arange(40_000) // 2
    assert check_class_order(labels[::-1].copy(), labels, [str(i) for i in range(20_000)]) is None


def test_a_sample_is_small_and_spread():
    rows = np.arange(0, 3_000_000, 3)
    sample = sample_rows(rows)
    assert len(sample) == 1024
    assert (np.diff(sample) > 0).all()
    assert sample[0] == 0
    assert sample[-1] == rows[-1]
    np.testing.assert_array_equal(sample_rows(rows[:1000]), rows[:1000])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_zero_shot_is_the_nearest_class_embedding(dtype: str):
    features = np.array([[1, 0], [0, 3], [2, 1]], dtype)
    projection = np.eye(2, dtype=np.float32)
    embeddings = np.eye(2, dtype=np.float32)
    assert predict_zero_shot(features, projection, None, embeddings).tolist() == [0, 1, 0]
    bias = np.array([-2, 0], np.float32)
    assert predict_zero_shot(features, projection, bias, embeddings).tolist() == [1, 1, 1]
