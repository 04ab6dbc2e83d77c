"""Nearest rows of other classes, over the whole training split."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Int32

from clip_cfr.calibrate.core.head import Features, Head, StoredFeatures, embedded_chunks
from clip_cfr.calibrate.core.sampling import NONE


@partial(jax.jit, static_argnames=("count",))
def _merge(best, anchors, anchor_labels, embeddings, rows, labels, count):
    """The `count` most similar rows of other classes among the best so far and a new chunk."""
    similarities = anchors @ embeddings.T
    similarities = jnp.where(anchor_labels[:, None] == labels[None, :], -jnp.inf, similarities)
    all_similarities = jnp.concatenate([best[0], similarities], axis=1)
    all_rows = jnp.concatenate([best[1], jnp.broadcast_to(rows, similarities.shape)], axis=1)
    top, places = jax.lax.top_k(all_similarities, count)
    chosen = jnp.take_along_axis(all_rows, places, axis=1)
    return top, jnp.where(jnp.isfinite(top), chosen, NONE)


def nearest_negatives(
    head: Head,
    features: Features | StoredFeatures,
    labels: Int[np.ndarray, " n"],
    anchors: Int[np.ndarray, " anchors"],
    rows: Int[np.ndarray, " rows"],
    count: int,
) -> Int32[np.ndarray, "anchors count"]:
    """For each anchor the rows of other classes with the highest cosine to it, nearest first.

    -1 stands where there are fewer than `count`. Memory grows with the anchors and one chunk of
    rows, not with all rows.
    """
    parts = [part for _, part in embedded_chunks(head, features, anchors)]
    vectors: Float[np.ndarray, "anchors embedding"] = np.concatenate(parts)
    shape = (len(anchors), count)
    best = jnp.full(shape, -jnp.inf), jnp.full(shape, NONE, jnp.int32)
    for place, embeddings in embedded_chunks(head, features, rows):
        chunk = rows[place]
        best = _merge(best, vectors, labels[anchors], embeddings, chunk, labels[chunk], count)
    return np.asarray(best[1])
