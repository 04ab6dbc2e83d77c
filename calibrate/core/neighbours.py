"""Nearest rows of other classes in the whole training split."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32

from clip_cfr.calibrate.core.features import Features, StoredFeatures
from clip_cfr.calibrate.core.head import Head, embed_in_chunks
from clip_cfr.calibrate.core.sampling import EMPTY

# Cosines and row indices of the nearest rows of each anchor, nearest first; -inf and -1 are empty.
Nearest = tuple[Float[Array, "anchors count"], Int[Array, "anchors count"]]


def find_nearest_negatives(
    head: Head,
    features: Features | StoredFeatures,
    labels: Int[np.ndarray, " n"],
    anchors: Int[np.ndarray, " anchors"],
    rows: Int[np.ndarray, " rows"],
    count: int,
) -> Int32[np.ndarray, "anchors count"]:
    """Find the rows of other classes with the highest cosine to each anchor, nearest first.

    Memory grows with the number of anchors and one chunk of rows, not with all rows.

    Args:
        head: head that embeds anchors and rows.
        labels: class of each row of the task.
        anchors: row indices of the anchors in the task.
        rows: row indices, in the task, of the rows to search.
        count: rows to find for each anchor.

    Returns:
        Row indices in the task; -1 where an anchor has fewer than `count` rows of other classes.
    """
    chunks = [chunk for _, chunk in embed_in_chunks(head, features, anchors)]
    vectors: Float[np.ndarray, "anchors embedding"] = np.concatenate(chunks)
    shape = (len(anchors), count)
    nearest = jnp.full(shape, -jnp.inf), jnp.full(shape, EMPTY, jnp.int32)
    for chunk, embeddings in embed_in_chunks(head, features, rows):
        found = rows[chunk]
        nearest = merge_nearest(nearest, vectors, labels[anchors], embeddings, found, labels[found])
    return np.asarray(nearest[1])


@jax.jit
def merge_nearest(
    nearest: Nearest,
    anchors: Float[Array, "anchors embedding"],
    anchor_labels: Int[Array, " anchors"],
    embeddings: Float[Array, "chunk embedding"],
    rows: Int[Array, " chunk"],
    labels: Int[Array, " chunk"],
) -> Nearest:
    """Return the nearest rows of other classes among those found so far and a new chunk.

    As many are returned for each anchor as `nearest` has columns, nearest first; of equal cosines,
    those found so far come first. Empty entries have cosine -inf and row -1.

    Args:
        nearest: cosines and row indices found so far.
        anchors, embeddings: unit-length embeddings of the anchors and of the chunk.
        rows, labels: row index and class of each row of the chunk.
    """
    similarities = anchors @ embeddings.T
    similarities = jnp.where(anchor_labels[:, None] == labels[None, :], -jnp.inf, similarities)
    all_similarities = jnp.concatenate([nearest[0], similarities], axis=1)
    all_rows = jnp.concatenate([nearest[1], jnp.broadcast_to(rows, similarities.shape)], axis=1)
    top, indices = jax.lax.top_k(all_similarities, nearest[0].shape[1])
    chosen = jnp.take_along_axis(all_rows, indices, axis=1)
    return top, jnp.where(jnp.isfinite(top), chosen, EMPTY)
