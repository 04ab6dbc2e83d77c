"""Random splits for data sets without published ones, reproducible from a seed."""

from collections.abc import Sequence
from math import ceil

import numpy as np
from jaxtyping import Int, Int8

DEFAULT_SEED = 42
FRACTIONS = (0.6, 0.2, 0.2)
# Those that are drawn if a data set has none: they share the distribution of train.
DRAWN_SPLITS = ("val", "test")
# Weight of missing rows of any class, relative to those of the subject's class.
TIE_WEIGHT = 0.01

Codes = Int[np.ndarray, " n"]
Splits = Int8[np.ndarray, " n"]


def draw_splits(
    labels: Codes,
    groups: Codes,
    fractions: Sequence[float],
    seed: int,
    subjects: Codes | None = None,
) -> tuple[Splits, str]:
    """Draw a split code for each row so that every split gets its share of the rows.

    Rows are stratified by group, small groups by class. With subjects, whole subjects are drawn,
    stratified by class. The same arguments give the same splits.

    Args:
        labels, groups: class and group of each row.
        fractions: fraction of each split; they sum to 1.
        seed: seed of the draw.
        subjects: subject of each row; all rows of a subject are in one split.

    Returns:
        The codes from 0 in the order of `fractions`, and how they were drawn, in words such as
        `stratified by group`. A split is empty only if there are fewer rows, or subjects, than
        splits.
    """
    if subjects is not None:
        return draw_whole_subjects(subjects, labels, fractions, seed), "by subject"
    strata, description = choose_strata(labels, groups, min_stratum_size(fractions))
    splits = draw_stratified_splits(strata, fractions, seed, labels)
    return fill_empty_splits(splits, np.arange(len(splits)), len(fractions)), description


def min_stratum_size(fractions: Sequence[float]) -> int:
    """Return the size from which every split gets a row of a stratum: ceil(1 / min(fractions))."""
    return ceil(1 / min(fractions) - 1e-9)


def choose_strata(labels: Codes, groups: Codes, min_size: int) -> tuple[Codes, str]:
    """Return the stratum of each row, and a description of the strata.

    A group of at least `min_size` rows is a stratum, with the number of the group. The rows of
    smaller groups form a stratum with those of the same class, or one with all others if they are
    too few. Numbers of strata may have gaps.

    Args:
        labels, groups: class and group of each row.
        min_size: smallest size of a stratum.

    Returns:
        The strata, and `stratified by group` or, if there are smaller groups, `stratified by class
        where a group has fewer than N rows`.
    """
    groups, labels = np.asarray(groups, np.int64), np.asarray(labels, np.int64)
    strata = groups.copy()
    small = np.bincount(groups)[groups] < min_size
    if not small.any():
        return strata, "stratified by group"
    strata[small] = groups.max() + 1 + labels[small]
    few = small & (np.bincount(strata)[strata] < min_size)
    strata[few] = strata.max() + 1
    return strata, f"stratified by class where a group has fewer than {min_size} rows"


def draw_stratified_splits(
    strata: Codes, fractions: Sequence[float], seed: int, labels: Codes | None = None
) -> Splits:
    """Draw a split code for each row, with nearly the same fractions in every stratum.

    Args:
        strata: stratum of each row.
        fractions: fraction of each split; they sum to 1.
        seed: seed of the draw.
        labels: class of each row; within a stratum, each class gets rows in the first split before
            another gets a second one.

    Returns:
        Codes from 0 in the order of `fractions`: 0 train, 1 val, 2 test for three. A split may be
        empty if strata are small.
    """
    # NumPy guarantees that the streams of RandomState never change; those of Generator may.
    rng = np.random.RandomState(seed)
    splits = np.zeros(len(strata), np.int8)
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        if labels is not None:
            members = members[np.argsort(rank_within(labels[members]), kind="stable")]
        cuts = np.round(np.cumsum(fractions)[:-1] * len(members)).astype(int)
        for code, rows in enumerate(np.split(members, cuts)):
            splits[rows] = code
    return splits


def rank_within(labels: Codes) -> Codes:
    """Return for each row the number of earlier rows with the same label: 0, 0, 1 for 5, 2, 5."""
    order = np.argsort(labels, kind="stable")
    sizes = np.unique(labels, return_counts=True)[1]
    ranks = np.empty(len(labels), np.int64)
    ranks[order] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return ranks


def draw_whole_subjects(
    subjects: Codes, labels: Codes, fractions: Sequence[float], seed: int
) -> Splits:
    """Draw a split code for each subject, and return that of each row.

    Subjects come in random order, the larger ones first, and each goes to the split that lacks most
    rows of its class, and of several such splits to the one that lacks most rows of all classes.
    The class of a subject is that of most of its rows; small classes count as one.

    Args:
        subjects: subject of each row.
        labels: class of each row.
        fractions: fraction of each split; they sum to 1.
        seed: seed of the order.

    Returns:
        Codes from 0 in the order of `fractions`. A split is empty only if there are fewer subjects
        than splits.
    """
    _, subject, sizes = np.unique(subjects, return_inverse=True, return_counts=True)
    classes = find_majority(subject, labels, len(sizes))
    classes, _ = choose_strata(np.zeros_like(classes), classes, min_stratum_size(fractions))
    lacking = np.outer(np.bincount(classes, weights=sizes), fractions)
    order = np.random.RandomState(seed).permutation(len(sizes))
    split_of = np.zeros(len(sizes), np.int8)
    for each in order[np.argsort(-sizes[order], kind="stable")]:
        split_of[each] = (lacking[classes[each]] + TIE_WEIGHT * lacking.sum(axis=0)).argmax()
        lacking[classes[each], split_of[each]] -= sizes[each]
    smallest_first = np.argsort(sizes, kind="stable")
    return fill_empty_splits(split_of, smallest_first, len(fractions))[subject]


def find_majority(subject: Codes, labels: Codes, num_subjects: int) -> Codes:
    """Return the most frequent label of each subject, the smallest of equally frequent ones.

    Args:
        subject: subject of each row, from 0 to `num_subjects` - 1.
        labels: label of each row.
        num_subjects: number of subjects.
    """
    pairs, counts = np.unique(np.stack([subject, labels]), axis=1, return_counts=True)
    majority = np.zeros(num_subjects, np.int64)
    # From the rarest to the most frequent label, so that the last assignment is the majority.
    for index in np.lexsort((-pairs[1], counts)):
        majority[pairs[0, index]] = pairs[1, index]
    return majority


def fill_empty_splits(splits: Splits, order: Codes, num_splits: int) -> Splits:
    """Return a copy of the splits in which an element has moved to each empty split.

    It comes from the largest split. A split stays empty if no other split has two elements.

    Args:
        splits: split code of each element.
        order: indices of the elements in the order in which they are moved.
        num_splits: number of splits.
    """
    splits = splits.copy()
    for code in range(num_splits):
        counts = np.bincount(splits, minlength=num_splits)
        if counts[code] == 0 and counts.max() > 1:
            splits[next(each for each in order if splits[each] == counts.argmax())] = code
    return splits


def draw_stratified_subjects(
    subjects: Int[np.ndarray, " n"],
    strata: Int[np.ndarray, " n"],
    fractions: Sequence[float],
    seed: int,
) -> Int8[np.ndarray, " n"]:
    """Draw a split code for each row so that all rows of a subject are in the same split.

    Fractions are those of subjects, not of rows. The stratum of a subject is the one with the
    largest number among its rows. Other arguments and the result are those of
    `draw_stratified_splits`.

    Args:
        subjects: subject of each row.
        strata: stratum of each row, at least 0.
    """
    _, subject = np.unique(subjects, return_inverse=True)
    largest = np.zeros(subject.max() + 1, np.int64)
    np.maximum.at(largest, subject, strata)
    return draw_stratified_splits(largest, fractions, seed)[subject]


def draw_subpopbench_splits(
    strata: Int[np.ndarray, " n"], fractions: Sequence[float], seed: int
) -> Int8[np.ndarray, " n"]:
    """Draw split codes with the calls that SubpopBench makes for its medical data sets.

    These are two calls of scikit-learn's `train_test_split`, stratified by `strata`.

    Args:
        strata: stratum of each row.
        fractions: fractions of train, val and test; they sum to 1.
        seed: seed of both calls.

    Returns:
        0 for train, 1 for val, 2 for test.

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
