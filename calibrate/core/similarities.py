"""Cosine similarities of anchors with their positives and negatives, and which of them count."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from clip_cfr.calibrate.core.embeddings import Embeddings
from clip_cfr.calibrate.core.sampling import NONE

Similarities = tuple[Float[Array, "anchors chosen"], Bool[Array, "anchors chosen"]]


def with_centroids(
    anchors: Embeddings,
    labels: Int[Array, " anchors"],
    centroids: Embeddings,
) -> Similarities:
    """Similarity with the centroid of the anchor's class; a centroid of zeros does not count."""
    own = jax.nn.one_hot(labels, len(centroids.factors), dtype=bool)
    similarities = jnp.where(own, anchors.cosines(centroids), 0).sum(axis=1, keepdims=True)
    return similarities, (centroids.factors > 0)[labels][:, None]


def with_slots(
    anchors: Embeddings,
    pool: Embeddings,
    slots: Int[Array, "parts part_anchors chosen"],
) -> Similarities:
    """Similarities with the rows of a pool that the slots name; an empty slot does not count.

    Anchors and pool are cut into parts, and only rows of equal parts are multiplied.
    """
    parts, chosen = slots.shape[0], slots.shape[-1]
    anchors, pool = jax.tree.map(
        lambda array: array.reshape(parts, -1, *array.shape[1:]), (anchors, pool)
    )
    products = jnp.einsum("pae,pre->par", anchors.vectors, pool.vectors)  # (parts, anchors, places)
    cosines = products * anchors.factors[:, :, None] * pool.factors[:, None, :]
    similarities = jnp.take_along_axis(cosines, jnp.maximum(slots, 0), axis=2)
    return similarities.reshape(-1, chosen), (slots != NONE).reshape(-1, chosen)


def with_nearest(
    anchors: Embeddings,
    labels: Int[Array, " anchors"],
    pool: Embeddings,
    pool_labels: Int[Array, " pool"],
    count: int,
) -> Similarities:
    """Similarities with the `count` nearest rows of other classes in a pool, or all it has."""
    similarities = anchors.cosines(pool)
    others = labels[:, None] != pool_labels[None, :]
    ranked = jnp.where(others, jax.lax.stop_gradient(similarities), -jnp.inf)
    _, places = jax.lax.top_k(ranked, min(count, len(pool_labels)))
    return (
        jnp.take_along_axis(similarities, places, axis=1),
        jnp.take_along_axis(others, places, axis=1),
    )
