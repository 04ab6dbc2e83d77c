"""Class centroids for dynamic positive centroid sampling."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from calibrate.head import Features, Head, StoredFeatures, embedded_chunks, normalise


def class_sums(
    embeddings: Float[Array, "rows embedding"],
    labels: Int[Array, " rows"],
    weights: Float[Array, " rows"],
    num_classes: int,
) -> tuple[Float[Array, "classes embedding"], Float[Array, " classes"]]:
    """Weighted sum of the embeddings of each class, and the weight of each class."""
    members = jax.nn.one_hot(labels, num_classes, dtype=embeddings.dtype) * weights[:, None]
    return members.T @ embeddings, members.sum(axis=0)


def update_centroids(
    centroids: Float[Array, "classes embedding"],
    embeddings: Float[Array, "rows embedding"],
    labels: Int[Array, " rows"],
    weights: Float[Array, " rows"],
    momentum: Float[Array, ""] | float,
) -> Float[Array, "classes embedding"]:
    """Moving average c <- normalise(m c + (1 - m) mean) of each class that has weight in the batch.

    A centroid of zeros stands for a class that has had no row yet; its first rows set it.
    """
    sums, mass = class_sums(embeddings, labels, weights, len(centroids))
    means = sums / jnp.where(mass > 0, mass, 1)[:, None]
    moved = normalise(momentum * centroids + (1 - momentum) * means)
    return jnp.where(mass[:, None] > 0, moved, centroids)


def initial_centroids(
    head: Head,
    features: Features | StoredFeatures,
    rows: Int[np.ndarray, " rows"],
    labels: Int[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"],
    num_classes: int,
) -> Float[Array, "classes embedding"]:
    """Unit-length weighted mean of each class; zeros where a class has no weight."""
    total = jnp.zeros((num_classes, head.weight.shape[0]))
    for place, embeddings in embedded_chunks(head, features, rows):
        members = jnp.asarray(labels[place]), jnp.asarray(weights[place])
        total += class_sums(embeddings, *members, num_classes)[0]
    return normalise(total)
