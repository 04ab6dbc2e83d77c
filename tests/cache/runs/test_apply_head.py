"""Scores and probabilities of saved heads, against cases computed by hand."""

import numpy as np
import pytest

from clip_cfr.cache.runs.apply_head import CHUNK, apply_head, to_probabilities

COSINE = {
    "projection": np.array([[2.0, 0.0], [0.0, 1.0]], np.float32),
    "bias": np.array([0.0, 1.0], np.float32),
    "logit_scale": np.float32(10),
    "class_embeddings": np.eye(2, dtype=np.float32),
}
LINEAR = {
    "linear_weight": np.array([[1.0, -1.0], [0.0, 2.0]], np.float32),
    "linear_bias": np.array([0.0, 1.0], np.float32),
}


def test_logits_are_scaled_cosines():
    # (2, 3) is projected onto (4, 3) and then (4, 4) with the bias.
    features = np.array([[2.0, 3.0], [1.0, -1.0]], np.float16)
    expected = [[10 / np.sqrt(2), 10 / np.sqrt(2)], [10.0, 0.0]]
    np.testing.assert_allclose(apply_head(COSINE, features), expected)


def test_an_embedding_of_length_zero_scores_zero():
    np.testing.assert_array_equal(apply_head(COSINE, np.array([[0.0, -1.0]])), [[0.0, 0.0]])


def test_a_linear_head_scores_log_odds():
    scores = apply_head(LINEAR, np.array([[1.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(scores, [[1.0, 0.0], [0.0, 1.0]])


def test_probabilities_of_logits_are_their_softmax():
    found = to_probabilities(COSINE, np.array([[np.log(3), 0.0], [1e4, 0.0]]))
    np.testing.assert_allclose(found, [[0.75, 0.25], [1.0, 0.0]])


def test_probabilities_of_log_odds_are_shares_of_the_logistic_function():
    found = to_probabilities(LINEAR, np.array([[0.0, np.log(3)], [-1e4, 1e4]]))
    np.testing.assert_allclose(found, [[0.4, 0.6], [0.0, 1.0]], atol=1e-20)


@pytest.mark.parametrize("arrays", [COSINE, LINEAR], ids=["cosine", "linear"])
@pytest.mark.parametrize("count", [0, CHUNK + 1])
def test_rows_are_scored_chunk_by_chunk(arrays, count):
    features = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
    scores = apply_head(arrays, features)
    assert scores.shape == (count, 2)
    if count:
        np.testing.assert_allclose(scores[-1:], apply_head(arrays, features[-1:]))
