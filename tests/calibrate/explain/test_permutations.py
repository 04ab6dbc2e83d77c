"""Permutations of wrong and right labels, and p-values corrected for many words."""

import numpy as np
import pytest

from clip_cfr.calibrate.explain.permutations import (
    ClassErrors,
    family_wise_p_values,
    permute_wrong,
    subject_blocks,
)


def class_errors(rng, subjects=None, count=12, dim=4, num_words=3) -> ClassErrors:
    wrong = np.zeros(count, bool)
    wrong[rng.permutation(count)[:4]] = True
    embeddings = rng.normal(size=(count, dim)).astype(np.float32)
    directions = rng.normal(size=(num_words, dim)).astype(np.float32)
    return ClassErrors(wrong, embeddings, directions, subjects)


def test_scores_are_correlations_times_the_root_of_the_number(rng):
    errors = class_errors(rng)
    similarities = errors.embeddings @ errors.directions.T
    expected = [np.sqrt(12) * np.corrcoef(errors.wrong, each)[0, 1] for each in similarities.T]
    found = errors.scores(errors.wrong[None].astype(np.float32))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    means = similarities[errors.wrong].mean(axis=0) - similarities[~errors.wrong].mean(axis=0)
    np.testing.assert_allclose(errors.differences(errors.wrong), means, rtol=1e-4, atol=1e-6)


def test_a_word_with_equal_similarities_has_the_score_0(rng):
    errors = class_errors(rng)
    errors.directions[1] = 0
    assert errors.scores(errors.wrong[None].astype(np.float32))[0, 1] == 0


def test_images_without_subjects_are_subjects_of_one():
    assert [each.tolist() for each in subject_blocks(None, 3)] == [[[0], [1], [2]]]


def test_subjects_are_grouped_by_their_size():
    blocks = subject_blocks(np.array([7, 5, 7, 9, 5, 2]), 6)
    assert [each.tolist() for each in blocks] == [[[5], [3]], [[1, 4], [0, 2]]]


def test_permutations_keep_the_wrong_images_of_subjects_together(rng):
    subjects = np.repeat([0, 1, 2, 3, 4], [2, 2, 2, 3, 3])
    errors = class_errors(rng, subjects)
    errors.wrong[:] = [1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    permuted = permute_wrong(rng, errors, 50)
    pairs = np.sort(permuted[:, :6].reshape(50, 3, 2).sum(axis=2), axis=1)
    triples = np.sort(permuted[:, 6:].reshape(50, 2, 3).sum(axis=2), axis=1)
    assert (pairs == [0, 0, 2]).all()
    assert (triples == [0, 3]).all()
    assert len(np.unique(permuted, axis=0)) == 6


def test_p_values_are_shares_of_the_permutations_with_a_higher_maximum(rng):
    classes = [class_errors(rng), class_errors(rng, count=20)]
    found = family_wise_p_values(np.random.default_rng(1), classes, permutations=99)
    highest = highest_by_loop(np.random.default_rng(1), classes, 99)
    for errors, p_values in zip(classes, found, strict=True):
        scores = np.abs(errors.scores(errors.wrong[None].astype(np.float32))[0])
        expected = [(1 + sum(each >= score for each in highest)) / 100 for score in scores]
        assert p_values == pytest.approx(expected)


def highest_by_loop(rng, classes, count) -> list[float]:
    permuted = [permute_wrong(rng, each, count) for each in classes]
    return [
        max(
            abs(np.corrcoef(wrong[row], each.embeddings @ word)[0, 1]) * len(each.wrong) ** 0.5
            for each, wrong in zip(classes, permuted, strict=True)
            for word in each.directions
        )
        for row in range(count)
    ]
