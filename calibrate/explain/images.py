"""The images whose errors are explained, and how they are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32

from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.runs.apply_head import CHUNK, embed


@dataclass(frozen=True)
class Images:
    """The images of a split with the predictions of a run, in the order of the run.

    Attributes:
        rows: row of each image in the cache, ascending.
        ids: id of each image.
        labels: class index of each image.
        subjects: number of each image's subject; None if all images are independent.
        embeddings: unit-length embeddings under CLIP's own projection.
        predicted: predicted class index of each image, by method, of one seed.
        probability: probability of the true class under the explained method; None if it is not
            known.
    """

    rows: Int[np.ndarray, " n"]
    ids: tuple[str, ...]
    labels: Int[np.ndarray, " n"]
    subjects: Int32[np.ndarray, " n"] | None
    embeddings: Float32[np.ndarray, "n embedding"]
    predicted: Mapping[str, Int[np.ndarray, " n"]]
    probability: Float64[np.ndarray, " n"] | None

    def wrong(self, method: str) -> Bool[np.ndarray, " n"]:
        """Return whether each image is misclassified by a method."""
        return self.predicted[method] != self.labels


@dataclass(frozen=True)
class Chosen:
    """The errors to explain: those of a method with a seed, and how to read their images."""

    method: str
    seed: int
    read: Callable[[FeatureCache], Images]


def read_embeddings(
    cache: FeatureCache, rows: Int[np.ndarray, " rows"]
) -> Float32[np.ndarray, "rows embedding"]:
    """Return the unit-length embeddings of rows under CLIP's own projection.

    Args:
        cache: an open cache, with its features in memory or on disk.
        rows: ascending row indices, at least one.
    """
    head = {"projection": cache.head.projection}
    if cache.head.bias is not None:
        head["bias"] = cache.head.bias
    embeddings = np.empty((len(rows), cache.head.projection.shape[1]), np.float32)
    for start in range(0, len(rows), CHUNK):
        chunk = slice(start, start + CHUNK)
        embeddings[chunk] = embed(head, cache.features[rows[chunk]].astype(np.float64))
    return embeddings
