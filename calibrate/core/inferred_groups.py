"""Groups inferred without group labels: class x whether CLIP's zero-shot prediction is right.

CLIP leans on the spurious feature before any training, so that the rows that it gets wrong are
mostly those of small groups. A head that only follows the feature is wrong about the same rows.
The criterion `inferred-groups` weighs these groups as much as the worst class and the average:
where labels are wrong, the groups alone select heads that fit the wrong labels.
"""

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from clip_cfr.calibrate.core.row_source import RowSource

# Rows that are projected at a time.
CHUNK_ROWS = 4096
# Inferred groups with fewer rows do not count: a single wrong label would decide.
SMALLEST = 3


def infer_groups(
    logits: Float[np.ndarray, "rows classes"], labels: Int[np.ndarray, " rows"]
) -> Int32[np.ndarray, " rows"]:
    """Return the inferred group of each row: 2 * label + whether the prediction is right."""
    return (2 * labels + (logits.argmax(axis=1) == labels)).astype(np.int32)


def count_large(groups: Int[np.ndarray, " rows"], num_classes: int) -> Int[np.ndarray, " groups"]:
    """Return the rows of each inferred group, 0 for those that do not count.

    Groups of fewer than `SMALLEST` rows do not count, unless all are so small.
    """
    counts = np.bincount(groups, minlength=2 * num_classes)
    large = counts >= SMALLEST
    return np.where(large, counts, 0) if large.any() else counts


def count_hits(
    correct: Bool[np.ndarray, "*classifiers rows"],
    groups: Int[np.ndarray, " rows"],
    num_classes: int,
) -> Float[np.ndarray, "*classifiers groups"]:
    """Count the correct predictions of each classifier in each inferred group, as whole floats."""
    by_classifier = correct.reshape(-1, len(groups))
    hits = [np.bincount(groups, each, 2 * num_classes) for each in by_classifier]
    return np.stack(hits).reshape(*correct.shape[:-1], 2 * num_classes)


def mean_accuracy(
    correct: Bool[np.ndarray, "*classifiers rows"],
    groups: Int[np.ndarray, " rows"],
    num_classes: int,
) -> Float[np.ndarray, "*classifiers"]:
    """Return the mean accuracy over the inferred groups that count, for each classifier.

    Args:
        correct: whether each classifier is right about each row.
        groups: inferred group of each row; at least one row.
        num_classes: number of classes.
    """
    counts = count_large(groups, num_classes)
    hits = count_hits(correct, groups, num_classes)
    return np.asarray((hits[..., counts > 0] / counts[counts > 0]).mean(axis=-1))


def criterion_value(
    correct: Bool[np.ndarray, "*classifiers rows"],
    groups: Int[np.ndarray, " rows"],
    num_classes: int,
) -> Float[np.ndarray, "*classifiers"]:
    """Return the value of the criterion `inferred-groups` in [0, 1], for each classifier.

    It is the mean of three accuracies: average, worst-class, and the mean over inferred groups.

    Args:
        correct: whether each classifier is right about each row.
        groups: inferred group of each row; at least one row.
        num_classes: number of classes.
    """
    counts = np.bincount(groups // 2, minlength=num_classes)
    by_group = count_hits(correct, groups, num_classes)
    hits = by_group.reshape(*by_group.shape[:-1], num_classes, 2).sum(axis=-1)
    worst_class = (hits[..., counts > 0] / counts[counts > 0]).min(axis=-1)
    over_groups = mean_accuracy(correct, groups, num_classes)
    return np.asarray((correct.mean(axis=-1) + worst_class + over_groups) / 3)


def predict_zero_shot(
    features: Float[np.ndarray, "n dim"] | RowSource,
    rows: Int[np.ndarray, " rows"],
    projection: Float[np.ndarray, "dim embedding"],
    bias: Float[np.ndarray, " embedding"] | None,
    class_embeddings: Float[np.ndarray, "classes embedding"],
) -> Float[np.ndarray, "rows classes"]:
    """Return products of embeddings, of any length, with class embeddings; highest is predicted.

    Args:
        features: features as stored, in memory or in a file.
        rows: indices of rows, ascending.
        projection, bias: CLIP's own head; no bias if None.
        class_embeddings: unit-length class embeddings.
    """
    # The length of an embedding does not change which product is the highest.
    weight = projection @ class_embeddings.T
    shift = 0 if bias is None else bias @ class_embeddings.T
    parts = [
        np.asarray(features[rows[start : start + CHUNK_ROWS]], np.float32) @ weight + shift
        for start in range(0, len(rows), CHUNK_ROWS)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(class_embeddings)), np.float32)
