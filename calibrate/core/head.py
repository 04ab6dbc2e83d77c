"""The head: a linear projection of the features and the scale of the logits."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.embeddings import Embeddings, normalize
from clip_cfr.calibrate.core.features import Features, StoredFeatures, map_chunks
from clip_cfr.calibrate.core.projection import Precision, project


class Head(NamedTuple):
    """The trained parameters.

    Attributes:
        weight: the projection, transposed: its product with rows of features, and the gradient of
            that, are faster.
        bias: None if the model has none; then none is trained.
        log_scale: logarithm of the logit scale.
    """

    weight: Float[Array, "embedding dim"]
    bias: Float[Array, " embedding"] | None
    log_scale: Float[Array, ""]


def embed(
    head: Head, features: Float[Array, "rows dim"], precision: Precision = "float32"
) -> Embeddings:
    """Project features and normalize the projections.

    Args:
        precision: type that the operands of the projection are rounded to.
    """
    projected = project(head.weight, features, precision)
    return normalize(projected if head.bias is None else projected + head.bias[:, None])


def logits(
    head: Head, embeddings: Embeddings, class_embeddings: Float[Array, "classes embedding"]
) -> Float[Array, "rows classes"]:
    """Return cosine similarities with the class embeddings, times the logit scale."""
    return jnp.exp(head.log_scale) * embeddings.dot(class_embeddings)


def embed_in_chunks(
    head: Head, features: Features | StoredFeatures, rows: Int[np.ndarray, " rows"]
) -> Iterator[tuple[slice, Float[np.ndarray, "chunk embedding"]]]:
    """Yield slices of `rows`, each with the unit-length embeddings of its rows."""
    return map_chunks(partial(embed_rows, head), features, rows)


def compute_logits(
    head: Head,
    features: Features | StoredFeatures,
    class_embeddings: Float[Array, "classes embedding"],
    rows: Int[np.ndarray, " rows"],
) -> Float[np.ndarray, "rows classes"]:
    """Return the logits of many rows, computed in chunks."""
    out = np.empty((len(rows), len(class_embeddings)), np.float32)
    for chunk, values in map_chunks(
        partial(logits_of_rows, head, class_embeddings), features, rows
    ):
        out[chunk] = values
    return out


@jax.jit
def embed_rows(
    head: Head, features: Features, rows: Int[Array, " rows"]
) -> Float[Array, "rows embedding"]:
    """Return unit-length embeddings of rows on the device."""
    return embed(head, features.gather(rows)).unit


@jax.jit
def logits_of_rows(
    head: Head,
    class_embeddings: Float[Array, "classes embedding"],
    features: Features,
    rows: Int[Array, " rows"],
) -> Float[Array, "rows classes"]:
    """Return the logits of rows on the device."""
    return logits(head, embed(head, features.gather(rows)), class_embeddings)
