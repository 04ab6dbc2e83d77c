"""Cosine similarities of anchors with positives and negatives, and masks of those that count."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from clip_cfr.calibrate.core.embeddings import Embeddings
from clip_cfr.calibrate.core.sampling import EMPTY

# Cosine similarities, and which of them count.
Similarities = tuple[Float[Array, "anchors chosen"], Bool[Array, "anchors chosen"]]


def centroid_similarities(
    anchors: Embeddings,
    labels: Int[Array, " anchors"],
    centroids: Embeddings,
) -> Similarities:
    """Return the cosine of each anchor with the centroid of its class, and its mask, (anchors, 1).

    The mask is false for a zero centroid.

    Args:
        labels: class of each anchor.
        centroids: centroid of each class, one in each column.
    """
    own = jax.nn.one_hot(labels, len(centroids.inverse_norms), dtype=bool)
    similarities = jnp.where(own, anchors.cosines(centroids), 0).sum(axis=1, keepdims=True)
    return similarities, (centroids.inverse_norms > 0)[labels][:, None]


def pool_similarities(
    anchors: Embeddings,
    pool: Embeddings,
    indices: Int[Array, "blocks block_anchors chosen"],
) -> Similarities:
    """Return cosines of each anchor with its chosen rows of a pool, (anchors, chosen).

    The mask is false where an index is empty. Only the products within blocks are computed.

    Args:
        anchors: embeddings of the anchors, block after block.
        pool: embeddings of the rows of the pool, block after block.
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
    """Split the last axis into `blocks` equal blocks of neighbouring rows."""
    return array.reshape(*array.shape[:-1], blocks, -1)


def nearest_similarities(
    anchors: Embeddings,
    labels: Int[Array, " anchors"],
    pool: Embeddings,
    pool_labels: Int[Array, " pool"],
    count: int,
) -> Similarities:
    """Return cosines of each anchor with the `count` nearest rows of other classes in the pool.

    They are sorted, highest first. The second axis is the smaller of `count` and the size of the
    pool; the mask is false for rows of the anchor's own class, which fill up the end if there are
    too few of others.

    Args:
        labels, pool_labels: class of each anchor and of each row of the pool.
    """
    similarities = anchors.cosines(pool)
    others = labels[:, None] != pool_labels[None, :]
    return take_highest(similarities, similarities, others, count)


def take_highest(
    similarities: Float[Array, "anchors pool"],
    ranking: Float[Array, "anchors pool"],
    mask: Bool[Array, "anchors pool"],
    count: int,
) -> Similarities:
    """Return the similarities at the `count` highest values of a ranking, or all there are.

    Args:
        similarities: similarities of anchors and pool rows.
        ranking: values to rank by; no gradient flows through them.
        mask: true for the entries that may be taken; others are masked out of the result.
        count: entries of each anchor.
    """
    ranked = jnp.where(mask, jax.lax.stop_gradient(ranking), -jnp.inf)
    _, indices = jax.lax.top_k(ranked, min(count, ranked.shape[1]))
    return (
        jnp.take_along_axis(similarities, indices, axis=1),
        jnp.take_along_axis(mask, indices, axis=1),
    )


def other_class_similarities(
    anchors: Embeddings,
    labels: Int[Array, " anchors"],
    candidates: Embeddings,
    candidate_labels: Int[Array, " candidates"],
) -> Similarities:
    """Return cosines of each anchor with all candidates, and the mask of those of other classes.

    Args:
        labels, candidate_labels: class of each anchor and of each candidate.
    """
    return anchors.cosines(candidates), labels[:, None] != candidate_labels[None, :]


def add_where_few(
    similarities: Similarities,
    more: tuple[Float[Array, "anchors more"], Bool[Array, "anchors more"]],
    count: int,
) -> tuple[Float[Array, "anchors all"], Bool[Array, "anchors all"]]:
    """Append similarities, masked out for anchors that have `count` or more without them."""
    few = similarities[1].sum(axis=1, keepdims=True) < count
    return (
        jnp.concatenate([similarities[0], more[0]], axis=1),
        jnp.concatenate([similarities[1], more[1] & few], axis=1),
    )
