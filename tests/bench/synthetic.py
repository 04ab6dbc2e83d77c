"""Synthetic tasks shaped like CLIP embeddings: a common cone, a power-law spectrum, two signals."""

import numpy as np

from clip_cfr.calibrate.core.task import Task


def clip_like_task(
    *,
    seed: int,
    sizes: tuple[int, int, int],
    agreement: tuple[float, float, float],
    dim: int = 512,
    core: float = 1.0,
    spurious: float = 1.5,
    dtype: type = np.float32,
) -> Task:
    """Two classes and a binary attribute, each a direction; unit-length features, identity head.

    Args:
        sizes: rows of train, val and test.
        agreement: share of rows in each split whose attribute equals the label.
        core, spurious: strength of the two signals in standard deviations of the noise there.
    """
    rng = np.random.default_rng(seed)
    count = sum(sizes)
    splits = np.repeat(np.arange(3), sizes)
    labels = rng.integers(2, size=count)
    agree = rng.random(count) < np.asarray(agreement)[splits]
    attributes = np.where(agree, labels, 1 - labels)
    deviations = np.arange(1, dim + 1) ** -0.5
    # Signals live among the leading directions, as visual concepts do.
    directions = rng.normal(size=(2, dim)) * (np.arange(dim) < dim // 8)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    strengths = np.array([core, spurious]) * np.sqrt(directions**2 @ deviations**2)
    signs = np.stack([2 * labels - 1, 2 * attributes - 1], axis=1)
    features = rng.normal(size=(count, dim)) * deviations + signs * strengths @ directions
    features += 3 * rng.normal(size=dim) / np.sqrt(dim)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    train = splits == 0
    means = np.stack([features[train & (labels == each)].mean(axis=0) for each in (0, 1)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return Task(
        features=features.astype(dtype),
        valid=np.ones(count, bool),
        labels=labels.astype(np.int32),
        attributes=attributes.astype(np.int32),
        splits=splits.astype(np.int8),
        class_names=("0", "1"),
        attribute_names=("0", "1"),
        projection=np.eye(dim, dtype=np.float32),
        bias=None,
        logit_scale=100.0,
        class_embeddings=means.astype(np.float32),
    )
