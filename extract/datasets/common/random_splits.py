"""Random splits for data sets without published ones, reproducible from a seed."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int8

DEFAULT_SEED = 42


def draw_stratified_splits(
    strata: Int[np.ndarray, " n"], fractions: Sequence[float], seed: int
) -> Int8[np.ndarray, " n"]:
    """Draw a split code for each row, with nearly the same fractions in every stratum.

    Args:
        strata: stratum of each row.
        fractions: fractions of train, val and test; they sum to 1.
        seed: seed of the draw.

    Returns:
        0 for train, 1 for val, 2 for test.
    """
    # NumPy guarantees that the streams of RandomState never change; those of Generator may.
    rng = np.random.RandomState(seed)
    splits = np.zeros(len(strata), np.int8)
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        cuts = np.round(np.cumsum(fractions)[:-1] * len(members)).astype(int)
        for code, rows in enumerate(np.split(members, cuts)):
            splits[rows] = code
    return splits


def draw_subject_splits(
    subjects: Int[np.ndarray, " n"],
    strata: Int[np.ndarray, " n"],
    fractions: Sequence[float],
    seed: int,
) -> Int8[np.ndarray, " n"]:
    """Draw a split code for each row so that all rows of a subject are in the same split.

    The stratum of a subject is the largest of the strata of its rows. Other arguments and the
    result are those of `draw_stratified_splits`.

    Args:
        subjects: subject of each row.
    """
    _, subject = np.unique(subjects, return_inverse=True)
    largest = np.zeros(subject.max() + 1, np.int64)
    np.maximum.at(largest, subject, strata)
    return draw_stratified_splits(largest, fractions, seed)[subject]


def draw_subpopbench_splits(
    strata: Int[np.ndarray, " n"], fractions: Sequence[float], seed: int
) -> Int8[np.ndarray, " n"]:
    """Draw split codes with the calls that SubpopBench makes for its medical data sets.

    Arguments and result are those of `draw_stratified_splits`.

    Raises:
        ValueError: if a stratum is too small for the fractions.
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
