"""Units of training, in which a learning rate means the same for every model.

Training divides the features by their mean norm, and the projections by theirs. Embeddings have
unit length, so neither factor changes them.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.features import CHUNK_ROWS
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.core.task import Task


class Units(NamedTuple):
    """Mean norms over the training split.

    Attributes:
        features: mean norm of the features.
        projected: mean norm of their projections by CLIP's head.
    """

    features: float
    projected: float


def measure_units(task: Task) -> Units:
    """Measure the mean norms of a task, chunk by chunk.

    Raises:
        CalibrationError: they overflow in float32.
    """
    sums, rows = np.zeros(2), task.rows("train")
    for start in range(0, len(rows), CHUNK_ROWS):
        features = task.features[rows[start : start + CHUNK_ROWS]].astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            projected = features @ task.projection + (0 if task.bias is None else task.bias)
            sums += [np.linalg.norm(x, axis=1).sum() for x in (features, projected)]
    if not np.isfinite(sums).all():
        raise CalibrationError(
            "the norms of the features, or of their projections, overflow in float32: divide the "
            "features, or the projection, by a number, and import them again"
        )
    means = np.maximum(sums / len(rows), np.finfo(np.float32).tiny)
    return Units(features=float(means[0]), projected=float(means[1]))


def clip_head(task: Task, units: Units, logit_scale: float) -> Head:
    """Return CLIP's own head in units of training."""
    weight = task.projection.T * np.float32(units.features / units.projected)
    bias = None if task.bias is None else jnp.asarray(task.bias / np.float32(units.projected))
    return Head(jnp.asarray(weight), bias, jnp.log(jnp.float32(logit_scale)))


def head_arrays(head: Head, units: Units) -> dict[str, np.ndarray]:
    """Convert a head to arrays for features as stored in the cache.

    Returns:
        `projection` (dim, embedding), `logit_scale` (), and, if there is one, `bias` (embedding,).
    """
    scale = np.float32(units.projected / units.features)
    arrays = {
        "projection": np.asarray(head.weight).T * scale,
        "logit_scale": np.exp(np.asarray(head.log_scale)),
    }
    if head.bias is None:
        return arrays
    return {**arrays, "bias": np.asarray(head.bias) * np.float32(units.projected)}
