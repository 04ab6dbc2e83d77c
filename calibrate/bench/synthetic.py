"""Synthetic tasks with the sizes of real data sets."""

import numpy as np

from clip_cfr.calibrate.bench.sizes import Splits
from clip_cfr.calibrate.core.task import Task

CHUNK = 8192


def synthetic_task(splits: Splits, dim: int, embedding: int, seed: int = 0) -> Task:
    """Return a task of random float16 features and random labels.

    It has two classes and two attributes, all drawn with equal probability, and no bias; features
    and embeddings are Gaussian. No head fits random labels, so the calibration set is large.

    Args:
        splits: rows of train, val and test.
        dim, embedding: widths of the features and of the embeddings.
        seed: seed of all random values.
    """
    rng, count = np.random.default_rng(seed), sum(splits)
    labels, attributes = rng.integers(2, size=(2, count), dtype=np.int32)
    class_embeddings = rng.normal(size=(2, embedding))
    class_embeddings /= np.linalg.norm(class_embeddings, axis=1, keepdims=True)
    features = np.empty((count, dim), np.float16)
    for start in range(0, count, CHUNK):
        chunk = features[start : start + CHUNK]
        chunk[:] = rng.standard_normal(chunk.shape, np.float32)
    return Task(
        features=features,
        valid=np.ones(count, bool),
        labels=labels,
        attributes=attributes,
        splits=np.repeat(np.arange(3, dtype=np.int8), splits),
        class_names=("0", "1"),
        attribute_names=("0", "1"),
        projection=rng.standard_normal((dim, embedding), np.float32) / np.float32(dim**0.5),
        bias=None,
        logit_scale=100.0,
        class_embeddings=class_embeddings.astype(np.float32),
    )
