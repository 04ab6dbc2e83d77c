"""Data of the training loop without a validation split."""

import jax.numpy as jnp

from clip_cfr.calibrate.core.features import Data, Features


def make_train_data(features, labels, class_embeddings, scale: float = 1) -> Data:
    """Return the arrays that a loss reads; those of the validation split are empty.

    Args:
        features: (rows, dim); stored divided by `scale`.
        labels: class of each row.
        class_embeddings: (classes, embedding), of unit length.
    """
    nothing = jnp.zeros(0, jnp.int32)
    return Data(
        features=Features(jnp.asarray(features / scale, jnp.float32), jnp.float32(scale)),
        labels=jnp.asarray(labels),
        class_embeddings=jnp.asarray(class_embeddings, jnp.float32),
        val_rows=nothing,
        val_groups=nothing,
        val_group_counts=jnp.zeros(0, jnp.float32),
        val_inferred=jnp.zeros(0, jnp.int32),
        val_inferred_counts=jnp.zeros(0, jnp.float32),
        group_labels=nothing,
    )
