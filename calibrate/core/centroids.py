"""Class centroids for dynamic positive centroid sampling (DPS)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.embeddings import Embeddings, normalize
from clip_cfr.calibrate.core.features import Features, StoredFeatures
from clip_cfr.calibrate.core.head import Head, embed_in_chunks


def update_centroids(
    centroids: Embeddings,
    embeddings: Embeddings,
    labels: Int[Array, " rows"],
    weights: Float[Array, " rows"],
    momentum: Float[Array, ""] | float,
) -> Embeddings:
    """Return the centroids moved towards the batch: c <- normalize(m c + (1 - m) mean).

    `mean` is the weighted mean of the unit-length embeddings of the class. A class without weight
    in the batch keeps its centroid. A zero centroid stands for a class without rows so far; the
    first rows of the class set it to the direction of their mean, unless m is 1.

    Args:
        centroids: unit-length centroid of each class, one in each column.
        embeddings: embeddings of the batch.
        labels: class of each row of the batch.
        weights: weight of each row in the mean of its class; 0 leaves the row out.
        momentum: m, the share of the old centroid, in [0, 1].

    References:
        arXiv 2403.07241, dynamic positive centroid sampling. The default momentum is our choice.
    """
    members = jax.nn.one_hot(labels, len(centroids.inverse_norms)) * weights[:, None]
    mass = members.sum(axis=0)
    means = embeddings.weighted_sums(members) / jnp.where(mass > 0, mass, 1)[None, :]
    unit = centroids.vectors * centroids.inverse_norms[None, :]
    moved = normalize(momentum * unit + (1 - momentum) * means)
    return Embeddings(
        jnp.where(mass[None, :] > 0, moved.vectors, centroids.vectors),
        jnp.where(mass > 0, moved.inverse_norms, centroids.inverse_norms),
    )


def compute_centroids(
    head: Head,
    features: Features | StoredFeatures,
    rows: Int[np.ndarray, " rows"],
    labels: Int[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"],
    num_classes: int,
) -> Embeddings:
    """Return the weighted mean embedding of each class under a head, scaled to unit length.

    Args:
        rows: row indices in the task, ascending if the features are in a file.
        labels, weights: class and weight of each of these rows.

    Returns:
        One centroid in each column, in the order of the classes; zeros for a class without weight.
    """
    total = np.zeros((num_classes, head.weight.shape[0]), np.float32)
    for chunk, embeddings in embed_in_chunks(head, features, rows):
        members = np.eye(num_classes, dtype=np.float32)[labels[chunk]] * weights[chunk, None]
        total += members.T @ embeddings
    return jax.jit(normalize)(total.T)
