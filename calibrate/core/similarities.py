"""Cosine similarities of anchors with positives and negatives, and masks of those that count."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from clip_cfr.calibrate.core.embeddings import Embeddings
from clip_cfr.calibrate.core.sampling import EMPTY

Similarities = tuple[Float[Array, "anchors chosen"], Bool[Array, "anchors chosen"]]


def centroid_similarities(
    anchors: Embeddings,
    labels: Int[Array, " anchors"],
    centroids: Embeddings,
) -> Similarities:
    """Compare each anchor with the centroid of its class; a zero centroid is masked out."""
    own = jax.nn.one_hot(labels, len(centroids.inverse_norms), dtype=bool)
    similarities = jnp.where(own, anchors.cosines(centroids), 0).sum(axis=1, keepdims=True)
    return similarities, (centroids.inverse_norms > 0)[labels][:, None]


def pool_similarities(
    anchors: Embeddings,
    pool: Embeddings,
    indices: Int[Array, "blocks block_anchors chosen"],
) -> Similarities:
    """Compare each anchor with its chosen rows of a pool; empty entries are masked out.

    Only the products within blocks are computed.

    Args:
        indices: indices of the chosen rows in the anchor's block of the pool; -1 is empty.
    """
    blocks, chosen = indices.shape[0], indices.shape[-1]
    anchors, pool = jax.tree.map(partial(split_blocks, blocks), (anchors, pool))
    products = jnp.einsum("eba,ebr->bar", anchors.vectors, pool.vectors)
    cosines = products * anchors.inverse_norms[:, :, None] * pool.inverse_norms[:, None, :]
    similarities = jnp.take_along_axis(cosines, jnp.maximum(indices, 0), axis=2)
    return similarities.reshape(-1, chosen), (indices != EMPTY).reshape(-1, chosen)


def split_blocks(
    blocks: int, array: Float[Array, "*shape rows"]
) -> Float[Array, "*shape blocks block_rows"]:
    """Split the last axis into blocks of neighbouring rows."""
    return array.reshape(*array.shape[:-1], blocks, -1)


def nearest_similarities(
    anchors: Embeddings,
    labels: Int[Array, " anchors"],
    pool: Embeddings,
    pool_labels: Int[Array, " pool"],
    count: int,
) -> Similarities:
    """Compare each anchor with the `count` nearest pool rows of other classes, or all there are."""
    similarities = anchors.cosines(pool)
    others = labels[:, None] != pool_labels[None, :]
    ranked = jnp.where(others, jax.lax.stop_gradient(similarities), -jnp.inf)
    _, indices = jax.lax.top_k(ranked, min(count, len(pool_labels)))
    return (
        jnp.take_along_axis(similarities, indices, axis=1),
        jnp.take_along_axis(others, indices, axis=1),
    )


def other_class_similarities(
    anchors: Embeddings,
    labels: Int[Array, " anchors"],
    candidates: Embeddings,
    candidate_labels: Int[Array, " candidates"],
) -> Similarities:
    """Compare each anchor with all candidates; those of its own class are masked out."""
    return anchors.cosines(candidates), labels[:, None] != candidate_labels[None, :]


def add_where_few(
    similarities: Similarities,
    more: tuple[Float[Array, "anchors more"], Bool[Array, "anchors more"]],
    count: int,
) -> tuple[Float[Array, "anchors all"], Bool[Array, "anchors all"]]:
    """Append similarities; they count for anchors that have fewer than `count` without them."""
    few = similarities[1].sum(axis=1, keepdims=True) < count
    return (
        jnp.concatenate([similarities[0], more[0]], axis=1),
        jnp.concatenate([similarities[1], more[1] & few], axis=1),
    )
