"""Apply the saved arrays of a head to features, with numpy alone."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float64

CHUNK = 8192
# Bound to clip log-odds to: exp cannot overflow, and the probability is 0 or 1 to 21 digits.
MAX_LOG_ODDS = 50.0

Arrays = Mapping[str, np.ndarray]


def apply_head(
    arrays: Arrays, features: Float[np.ndarray, "rows dim"]
) -> Float64[np.ndarray, "rows classes"]:
    """Return the score of each class in float64: logits, or log-odds for a head of DFR.

    Args:
        arrays: a head as in a run folder (cache/RUNS.md, "Heads"): `projection`, `logit_scale`,
            `class_embeddings` and optionally `bias`, `adapter_down` and `adapter_up`; or
            `linear_weight` and `linear_bias`; or `logits_weight`, `logits_bias` and optionally
            `projection` and `bias`.
        features: pooled features, not normalized, as a cache stores them; there may be no rows.
    """
    starts = range(0, max(len(features), 1), CHUNK)
    score = cosine_logits if "class_embeddings" in arrays else linear_scores
    return np.concatenate(
        [score(arrays, features[start : start + CHUNK].astype(np.float64)) for start in starts]
    )


def cosine_logits(
    arrays: Arrays, features: Float64[np.ndarray, "rows dim"]
) -> Float64[np.ndarray, "rows classes"]:
    """Return the logits: `logit_scale` times the cosine of embedding and class embedding.

    An adapter in `arrays` changes the embeddings. The class embeddings must have unit length.
    """
    embeddings = embed(arrays, features)
    if "adapter_down" in arrays:
        embeddings = adapt(arrays, embeddings)
    return arrays["logit_scale"] * (embeddings @ arrays["class_embeddings"].T)


def embed(
    arrays: Arrays, features: Float64[np.ndarray, "rows dim"]
) -> Float64[np.ndarray, "rows embedding"]:
    """Return the embeddings of rows: `features @ projection + bias`, scaled to unit length."""
    return normalize(features @ arrays["projection"] + arrays.get("bias", 0.0))


def adapt(
    arrays: Arrays, embeddings: Float64[np.ndarray, "rows embedding"]
) -> Float64[np.ndarray, "rows embedding"]:
    """Return v + relu(v @ adapter_down) @ adapter_up, scaled to unit length, for each row v."""
    hidden = np.maximum(embeddings @ arrays["adapter_down"], 0.0)
    return normalize(embeddings + hidden @ arrays["adapter_up"])


def normalize(
    vectors: Float64[np.ndarray, "rows embedding"],
) -> Float64[np.ndarray, "rows embedding"]:
    """Scale rows to unit length; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)


def linear_scores(
    arrays: Arrays, features: Float64[np.ndarray, "rows dim"]
) -> Float64[np.ndarray, "rows classes"]:
    """Return `inputs @ weight + bias`: log-odds of each class against the rest, or logits.

    The inputs are embeddings if there is a projection, else the features.
    """
    if "linear_weight" in arrays:
        return features @ arrays["linear_weight"] + arrays["linear_bias"]
    inputs = embed(arrays, features) if "projection" in arrays else features
    return inputs @ arrays["logits_weight"] + arrays["logits_bias"]


def to_probabilities(
    arrays: Arrays, scores: Float64[np.ndarray, "rows classes"]
) -> Float64[np.ndarray, "rows classes"]:
    """Return the probability of each class from the scores of a head; rows sum to 1.

    Logits go through a softmax; log-odds through a sigmoid, whose values are divided by their sum.

    Args:
        arrays: the head, as in `apply_head`.
        scores: the result of `apply_head`.
    """
    if "linear_weight" in arrays:
        weights = 1 / (1 + np.exp(-np.clip(scores, -MAX_LOG_ODDS, MAX_LOG_ODDS)))
    else:
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)
