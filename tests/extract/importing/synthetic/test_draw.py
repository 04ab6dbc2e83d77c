"""Synthetic arrays: counts of groups, directions, labels, and equal numbers for equal seeds."""

from dataclasses import fields, replace

import numpy as np
import pytest

from clip_cfr.extract.importing.synthetic.draw import SyntheticArrays, draw_synthetic
from clip_cfr.extract.importing.synthetic.world import SyntheticWorld

WORLD = SyntheticWorld(
    num_classes=3,
    num_attributes=4,
    correlation=0.7,
    test_correlation=0.1,
    dim=32,
    label_noise=0.25,
    train_rows=300,
    val_rows=120,
    test_rows=301,
)


@pytest.fixture(scope="module")
def arrays() -> SyntheticArrays:
    return draw_synthetic(WORLD)


def count_groups(arrays: SyntheticArrays, split: int) -> list[list[int]]:
    counts = np.zeros((3, 4), int)
    rows = arrays.splits == split
    np.add.at(counts, (arrays.true_labels[rows], arrays.attributes[rows]), 1)
    return counts.tolist()


def test_groups_have_the_rows_that_the_correlations_say(arrays):
    assert count_groups(arrays, 0) == [[70, 10, 10, 10], [10, 70, 10, 10], [10, 10, 70, 10]]
    assert count_groups(arrays, 1) == [[10] * 4] * 3
    assert count_groups(arrays, 2) == [[10, 31, 30, 30], [30, 10, 30, 30], [30, 30, 10, 30]]


def test_more_classes_than_attributes_share_them():
    world = SyntheticWorld(num_classes=3, correlation=1, dim=8, train_rows=30)
    drawn = draw_synthetic(world)
    train = drawn.splits == 0
    assert (drawn.attributes[train] == drawn.labels[train] % 2).all()


def test_label_noise_changes_training_labels_only(arrays):
    is_wrong = arrays.labels != arrays.true_labels
    assert [is_wrong[arrays.splits == split].sum() for split in range(3)] == [75, 0, 0]
    assert set(arrays.labels[is_wrong]) == {0, 1, 2}


def test_directions_are_orthonormal(arrays):
    basis = np.concatenate([arrays.class_directions, arrays.attribute_directions])
    np.testing.assert_allclose(basis @ basis.T, np.eye(7), atol=1e-12)


def test_embeddings_lean_on_the_attribute_of_their_class(arrays):
    lengths = np.linalg.norm(arrays.class_embeddings, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    on_classes = arrays.class_embeddings @ arrays.class_directions.T
    on_attributes = arrays.class_embeddings @ arrays.attribute_directions.T
    np.testing.assert_allclose(on_attributes, 0.5 / np.hypot(1, 0.5) * np.eye(3, 4), atol=1e-6)
    np.testing.assert_allclose(on_classes, np.eye(3) / np.hypot(1, 0.5), atol=1e-6)
    np.testing.assert_array_equal(
        arrays.attribute_embeddings, arrays.attribute_directions.astype(np.float32)
    )


def test_features_are_means_and_standard_normal_noise(arrays):
    means = 3 * arrays.class_directions[arrays.true_labels]
    means += 4 * arrays.attribute_directions[arrays.attributes]
    noise = arrays.features - means / np.sqrt(2)
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    assert abs(noise.std() - 1) < 4 / np.sqrt(2 * noise.size)
    assert arrays.features.dtype == np.float32


def test_worlds_of_one_seed_share_directions_and_noise(arrays):
    other = draw_synthetic(replace(WORLD, correlation=0.2, train_rows=150, class_signal=1.0))
    rows = np.flatnonzero(arrays.splits == 2)
    others = np.flatnonzero(other.splits == 2)
    np.testing.assert_array_equal(other.attributes[others], arrays.attributes[rows])
    shift = arrays.features[rows] - other.features[others]
    expected = np.sqrt(2) * arrays.class_directions[arrays.labels[rows]]
    np.testing.assert_allclose(shift, expected, atol=1e-5)


def test_equal_seeds_give_equal_bytes(arrays):
    again, other = draw_synthetic(WORLD), draw_synthetic(replace(WORLD, seed=1))
    names = [each.name for each in fields(arrays)]
    equal = [getattr(arrays, each).tobytes() == getattr(again, each).tobytes() for each in names]
    assert dict(zip(names, equal, strict=True)) == dict.fromkeys(names, True)
    assert (arrays.features != other.features).all()


def test_lengths_are_nearly_constant_in_many_columns():
    features = draw_synthetic(SyntheticWorld(train_rows=2000)).features
    lengths = np.linalg.norm(features, axis=1)
    assert 0.03 < lengths.std() / lengths.mean() < 0.05
