"""Class centroids for dynamic positive centroid sampling."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.embeddings import Embeddings, of_unit_length
from clip_cfr.calibrate.core.head import Features, Head, StoredFeatures, embedded_chunks


def update_centroids(
    centroids: Embeddings,
    embeddings: Embeddings,
    labels: Int[Array, " rows"],
    weights: Float[Array, " rows"],
    momentum: Float[Array, ""] | float,
) -> Embeddings:
    """Moving average c <- normalise(m c + (1 - m) mean) of each class that has weight in the batch.

    A centroid of zeros stands for a class that has had no row yet; its first rows set it.
    """
    members = jax.nn.one_hot(labels, len(centroids.factors)) * weights[:, None]
    mass = members.sum(axis=0)
    means = embeddings.sums(members) / jnp.where(mass > 0, mass, 1)[:, None]
    moved = of_unit_length(momentum * centroids.unit + (1 - momentum) * means)
    return Embeddings(
        jnp.where(mass[:, None] > 0, moved.vectors, centroids.vectors),
        jnp.where(mass > 0, moved.factors, centroids.factors),
    )


def initial_centroids(
    head: Head,
    features: Features | StoredFeatures,
    rows: Int[np.ndarray, " rows"],
    labels: Int[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"],
    num_classes: int,
) -> Embeddings:
    """Unit-length weighted mean of each class; zeros where a class has no weight."""
    total = np.zeros((num_classes, head.weight.shape[0]), np.float32)
    for place, embeddings in embedded_chunks(head, features, rows):
        members = np.eye(num_classes, dtype=np.float32)[labels[place]] * weights[place, None]
        total += members.T @ embeddings
    return of_unit_length(jnp.asarray(total))
