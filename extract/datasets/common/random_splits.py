"""Splits that are drawn where a data set comes without: the same for the same seed."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int8

SEED = 42


def draw_stratified(
    strata: Int[np.ndarray, " n"], fractions: Sequence[float], seed: int
) -> Int8[np.ndarray, " n"]:
    """A split code for each row, with nearly the same fractions in every stratum.

    `fractions` of train, val and test sum to 1.
    """
    # RandomState's streams are frozen for good; those of the newer generators are not.
    rng = np.random.RandomState(seed)
    splits = np.zeros(len(strata), np.int8)
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        cuts = np.round(np.cumsum(fractions)[:-1] * len(members)).astype(int)
        for code, part in enumerate(np.split(members, cuts)):
            splits[part] = code
    return splits


def draw_by_subject(
    subjects: Int[np.ndarray, " n"],
    strata: Int[np.ndarray, " n"],
    fractions: Sequence[float],
    seed: int,
) -> Int8[np.ndarray, " n"]:
    """A split code for each row, the same for all rows of a subject.

    A subject counts for the largest of its rows' strata.
    """
    _, subject = np.unique(subjects, return_inverse=True)
    largest = np.zeros(subject.max() + 1, np.int64)
    np.maximum.at(largest, subject, strata)
    return draw_stratified(largest, fractions, seed)[subject]


def draw_as_subpopbench(
    strata: Int[np.ndarray, " n"], fractions: Sequence[float], seed: int
) -> Int8[np.ndarray, " n"]:
    """The split codes that SubpopBench draws for its medical data sets, with the same calls.

    Raises:
        ValueError: a stratum is too small for the fractions.
    """
    from sklearn.model_selection import train_test_split

    _, val, test = fractions
    rest, in_test = train_test_split(
        np.arange(len(strata)), test_size=test, random_state=seed, stratify=strata
    )
    _, in_val = train_test_split(
        rest, test_size=val / (1 - test), random_state=seed, stratify=strata[rest]
    )
    splits = np.zeros(len(strata), np.int8)
    splits[in_test], splits[in_val] = 2, 1
    return splits
