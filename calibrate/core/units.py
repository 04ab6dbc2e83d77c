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
    """Mean Euclidean norms over the training split; each is at least float32's smallest normal.

    Attributes:
        features: mean norm of the features as stored.
        projected: mean norm of their projections by CLIP's own head, with its bias.
    """

    features: float
    projected: float


def measure_units(task: Task) -> Units:
    """Measure the mean norms over the training split of a task, reading `CHUNK_ROWS` at a time.

    Raises:
        CalibrationError: a norm, or a sum of norms, is infinite or NaN in float32.
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
    """Return CLIP's own head, in float32, for features scaled to a mean norm of 1.

    Weight and bias are scaled so that the projections have a mean norm of 1 too. The embeddings are
    those of CLIP.

    Args:
        logit_scale: factor of the cosine similarities; the head stores its logarithm.
    """
    weight = task.projection.T * np.float32(units.features / units.projected)
    bias = None if task.bias is None else jnp.asarray(task.bias / np.float32(units.projected))
    return Head(jnp.asarray(weight), bias, jnp.log(jnp.float32(logit_scale)))


def head_arrays(head: Head, units: Units) -> dict[str, np.ndarray]:
    """Convert a head in units of training to arrays for features as stored; undoes `clip_head`.

    Returns:
        float32 arrays: `projection` (dim, embedding), `logit_scale` () (not its logarithm), and
        `bias` (embedding,) if the head has one.
    """
    scale = np.float32(units.projected / units.features)
    arrays = {
        "projection": np.asarray(head.weight).T * scale,
        "logit_scale": np.exp(np.asarray(head.log_scale)),
    }
    if head.bias is None:
        return arrays
    return {**arrays, "bias": np.asarray(head.bias) * np.float32(units.projected)}
