import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from clip_cfr.extract.datasets.common.random_splits import (
    draw_splits,
    draw_stratified_splits,
    draw_stratified_subjects,
    draw_subpopbench_splits,
)

FRACTIONS = (0.6, 0.2, 0.2)


def count(splits: np.ndarray) -> list[int]:
    return np.bincount(splits, minlength=3).tolist()


def test_every_stratum_has_the_fractions():
    strata = np.repeat([3, 0, 7], (50, 100, 5))
    splits = draw_stratified_splits(strata, FRACTIONS, seed=0)
    counts = {s: count(splits[strata == s]) for s in (0, 3, 7)}
    assert counts == {3: [30, 10, 10], 0: [60, 20, 20], 7: [3, 1, 1]}


def test_the_seed_determines_the_draw():
    strata = np.zeros(50, int)
    first = draw_stratified_splits(strata, FRACTIONS, seed=0)
    np.testing.assert_array_equal(draw_stratified_splits(strata, FRACTIONS, seed=0), first)
    assert (draw_stratified_splits(strata, FRACTIONS, seed=1) != first).any()


def test_the_draw_of_a_seed_never_changes():
    labels = np.repeat([0, 1], 10)
    expected = "00021020010020002101"
    splits = draw_stratified_splits(labels, FRACTIONS, seed=42)
    assert "".join(map(str, splits)) == expected
    splits, how = draw_splits(labels, labels, FRACTIONS, seed=42)
    assert ("".join(map(str, splits)), how) == (expected, "stratified by group")


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_small_groups_are_drawn_by_class(size: int):
    groups = np.arange(240) // size
    labels = groups % 2
    splits, how = draw_splits(labels, groups, FRACTIONS, seed=0)
    assert how == "stratified by class where a group has fewer than 5 rows"
    for label in (0, 1):
        assert count(splits[labels == label]) == [72, 24, 24]


def test_large_groups_stay_strata_beside_small_ones():
    groups = np.repeat([0, 1, 2, 3], (50, 50, 3, 4))
    labels = groups // 2
    splits, _ = draw_splits(labels, groups, FRACTIONS, seed=0)
    assert count(splits[groups == 0]) == count(splits[groups == 1]) == [30, 10, 10]
    assert count(splits[labels == 1]) == [4, 2, 1]


def test_small_classes_are_drawn_together_and_all_have_training_rows():
    labels = np.repeat(np.arange(12), 2)
    splits, _ = draw_splits(labels, labels, FRACTIONS, seed=0)
    assert count(splits) == [14, 5, 5]
    assert set(labels[splits == 0]) == set(range(12))


@pytest.mark.parametrize("n", range(3, 30))
def test_no_split_is_empty(n: int):
    labels = np.arange(n) % 2
    assert min(count(draw_splits(labels, labels, FRACTIONS, seed=0)[0])) >= 1
    subjects = np.arange(n) // 2 if n >= 6 else np.arange(n)
    assert min(count(draw_splits(labels, labels, FRACTIONS, 0, subjects)[0])) >= 1


def test_subjects_are_not_shared_and_every_split_has_its_share_of_each_class():
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(300), rng.integers(1, 8, 300))
    labels = subjects % 3
    splits, how = draw_splits(labels, labels, FRACTIONS, 0, subjects)
    assert how == "by subject"
    for subject in range(300):
        assert len(set(splits[subjects == subject])) == 1
    for label in range(3):
        shares = np.array(count(splits[labels == label])) / (labels == label).sum()
        np.testing.assert_allclose(shares, FRACTIONS, atol=0.02)


def test_a_subject_with_most_rows_goes_to_train():
    subjects = np.repeat(np.arange(9), (60, *[5] * 8))
    splits, _ = draw_splits(np.zeros(100, int), np.zeros(100, int), FRACTIONS, 0, subjects)
    assert count(splits) == [60, 20, 20]


def test_subjects_are_in_one_split():
    subjects = np.repeat(np.arange(100), 3)
    strata = np.tile([0, 1, 0], 100)
    splits = draw_stratified_subjects(subjects, strata, FRACTIONS, seed=0)
    np.testing.assert_array_equal(splits.reshape(100, 3), splits[::3, None].repeat(3, axis=1))
    assert count(splits) == [180, 60, 60]


def test_subpopbench_splits_are_those_of_its_calls():
    strata = np.random.default_rng(0).integers(3, size=200)
    splits = draw_subpopbench_splits(strata, (0.75, 0.10, 0.15), seed=42)
    rest, test = train_test_split(np.arange(200), test_size=0.15, random_state=42, stratify=strata)
    _, val = train_test_split(
        rest, test_size=0.1 / (1 - 0.15), random_state=42, stratify=strata[rest]
    )
    assert sorted(np.flatnonzero(splits == 2)) == sorted(test)
    assert sorted(np.flatnonzero(splits == 1)) == sorted(val)


def test_subpopbench_splits_need_large_strata():
    with pytest.raises(ValueError, match="least populated class"):
        draw_subpopbench_splits(np.arange(10), (0.75, 0.10, 0.15), seed=42)
