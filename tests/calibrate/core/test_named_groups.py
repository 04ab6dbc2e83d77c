"""Groups named in words: similarities, values, and accuracies by hand."""

import numpy as np
import pytest

from clip_cfr.calibrate.core.named_groups import (
    NamedAttribute,
    assign_values,
    count_cells,
    count_large,
    criterion_value,
    join_attributes,
    measure_similarities,
    number_cells,
    worst_accuracy,
)

LABELS = np.array([0, 0, 1, 1, 1], np.int32)


def named(name: str, indices, count: int = 2) -> NamedAttribute:
    values = tuple(f"{name} {index}" for index in range(count))
    indices = np.array(indices, np.int32)
    return NamedAttribute(name, values, indices, np.ones(len(indices), np.float32))


def test_similarities_are_cosines_of_the_embeddings():
    rng = np.random.default_rng(0)
    features, rows = rng.normal(size=(9, 5)).astype(np.float32), np.array([1, 4, 7])
    projection, bias = rng.normal(size=(5, 3)).astype(np.float32), np.ones(3, np.float32)
    words = np.eye(3, dtype=np.float32)[:2]
    found = measure_similarities(features, rows, projection, bias, words)
    embeddings = features[rows] @ projection + bias
    expected = embeddings[:, :2] / np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_row_has_its_most_similar_value_and_the_margin_over_the_next():
    found, margins = assign_values(np.array([[0.1, 0.4, 0.2], [0.5, -0.2, 0.5]], np.float32))
    assert found.tolist() == [1, 0]
    assert margins == pytest.approx([0.2, 0.0])


def test_groups_of_all_attributes_are_numbered():
    attributes = (named("a", [0, 1, 0, -1, 1]), named("b", [2, 0, 1, 1, -1], 3))
    assert count_cells(attributes, 2) == 10
    cells = number_cells(LABELS, attributes, 2)
    assert cells.tolist() == [[0, 6], [1, 4], [2, 8], [10, 8], [3, 10]]


def test_groups_of_one_or_two_rows_and_rows_without_a_value_do_not_count():
    cells = np.repeat([0, 1, 2, 4], [3, 2, 4, 9])[:, None]  # 4 groups: the last is no group
    assert count_large(cells, 4).tolist() == [3, 0, 4, 0, 0]
    correct = np.zeros((2, 18), bool)
    correct[0, [0, 1, 5, 6, 7]] = True  # 2 of 3 and 3 of 4; 0 of 2 does not count
    correct[1, 5:9] = True
    assert worst_accuracy(correct, cells, 4) == pytest.approx([2 / 3, 0])
    assert float(worst_accuracy(correct[0], cells, 4)) == pytest.approx(2 / 3)


def test_the_criterion_is_the_lowest_accuracy_of_the_groups():
    cells = np.repeat([0, 1, 2], [3, 4, 9])[:, None]  # 2 groups: the last is no group
    correct = np.zeros((2, 16), bool)
    correct[0, [0, 1, 3, 4, 5]] = True
    correct[1, :3] = True
    labels = np.zeros(16, int)
    assert criterion_value(correct, labels, cells, 2) == pytest.approx([2 / 3, 0])


@pytest.mark.parametrize("small", [2, 0])
def test_it_is_a_mean_if_a_group_is_small_or_empty(small):
    cells = np.repeat([0, 1, 2, 3], [3, 4, small, 5])[:, None]  # 3 groups
    labels = (np.arange(len(cells)) >= 3).astype(int)
    correct = np.zeros(len(cells), bool)
    correct[[0, 1, 3, 4, 5]] = True
    correct[7] = small > 0
    by_group = [2 / 3, 3 / 4, *([1 / 2] if small else [])]
    by_class = min(correct[:3].mean(), correct[3:].mean())
    expected = (correct.mean() + by_class + np.mean(by_group)) / 3
    assert float(criterion_value(correct, labels, cells, 3)) == pytest.approx(expected)


def test_without_any_value_there_is_no_criterion():
    correct, cells = np.ones((2, 3), bool), np.full((3, 1), 4)
    assert criterion_value(correct, np.zeros(3, int), cells, 4).tolist() == [np.inf] * 2


def test_without_any_value_there_is_no_worst_accuracy():
    assert worst_accuracy(np.ones(3, bool), np.full((3, 1), 4), 4) == np.inf


def test_groups_to_train_on_have_a_value_of_every_attribute():
    attributes = (named("a", [0, 1, 0, -1, 0]), named("b", [1, 1, 0, 0, 0]))
    found = join_attributes(LABELS, attributes, ("x", "y"))
    assert found.indices.tolist() == [0, 1, 2, -1, 2]
    assert found.names == (("x", "a 0", "b 1"), ("x", "a 1", "b 1"), ("y", "a 0", "b 0"))
