import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from clip_cfr.extract.datasets.common.random_splits import (
    draw_stratified_splits,
    draw_subject_splits,
    draw_subpopbench_splits,
)

FRACTIONS = (0.6, 0.2, 0.2)


def test_every_stratum_has_the_fractions():
    strata = np.repeat([3, 0, 7], (50, 100, 5))
    splits = draw_stratified_splits(strata, FRACTIONS, seed=0)
    counts = {s: np.bincount(splits[strata == s], minlength=3).tolist() for s in (0, 3, 7)}
    assert counts == {3: [30, 10, 10], 0: [60, 20, 20], 7: [3, 1, 1]}


def test_the_seed_determines_the_draw():
    strata = np.zeros(50, int)
    first = draw_stratified_splits(strata, FRACTIONS, seed=0)
    np.testing.assert_array_equal(draw_stratified_splits(strata, FRACTIONS, seed=0), first)
    assert (draw_stratified_splits(strata, FRACTIONS, seed=1) != first).any()


def test_the_draw_of_a_seed_never_changes():
    splits = draw_stratified_splits(np.repeat([0, 1], 10), FRACTIONS, seed=42)
    assert "".join(map(str, splits)) == "00021020010020002101"


def test_subjects_are_in_one_split():
    subjects = np.repeat(np.arange(100), 3)
    strata = np.tile([0, 1, 0], 100)
    splits = draw_subject_splits(subjects, strata, FRACTIONS, seed=0)
    np.testing.assert_array_equal(splits.reshape(100, 3), splits[::3, None].repeat(3, axis=1))
    assert np.bincount(splits).tolist() == [180, 60, 60]


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
