"""The head: the one linear map that is trained, and the scale of its logits."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.embeddings import Embeddings, of_unit_length
from clip_cfr.calibrate.core.task import RowSource, Task

CHUNK = 1024


class Head(NamedTuple):
    """What is trained.

    Attributes:
        weight: the projection, transposed: a product with rows of features and the gradient of it
            both run faster so (0.98 against 0.83 of the matrix-product rate on two cores).
        bias: None where the model has none, and then none is trained.
        log_scale: logarithm of the logit scale.
    """

    weight: Float[Array, "embedding dim"]
    bias: Float[Array, " embedding"] | None
    log_scale: Float[Array, ""]


class Features(NamedTuple):
    """All features as they are stored, and the factor that gives them a mean norm of 1."""

    values: Float[Array, "n dim"]
    scale: Float[Array, ""]

    def gather(self, rows: Int[Array, " rows"]) -> Float[Array, "rows dim"]:
        """Rows in float32 and scaled; only they are converted, never the whole array."""
        return self.values[rows].astype(jnp.float32) * self.scale


class StoredFeatures(NamedTuple):
    """Features that stay where they lie, with the factor that gives them a mean norm of 1."""

    source: RowSource
    scale: Float[Array, ""]


class Data(NamedTuple):
    """What the loop reads: features and labels of all rows, and the rows to evaluate on."""

    features: Features
    labels: Int[Array, " n"]
    class_embeddings: Float[Array, "classes embedding"]
    val_rows: Int[Array, " val"]
    val_groups: Int[Array, " val"]
    group_labels: Int[Array, " groups"]


def embed(head: Head, features: Float[Array, "rows dim"]) -> Embeddings:
    """Embeddings of features."""
    projected = features @ head.weight.T
    return of_unit_length(projected if head.bias is None else projected + head.bias[None, :])


def logits(
    head: Head, embeddings: Embeddings, class_embeddings: Float[Array, "classes embedding"]
) -> Float[Array, "rows classes"]:
    """Scaled cosine similarities of embeddings with the class embeddings."""
    return jnp.exp(head.log_scale) * embeddings.products(class_embeddings)


@jax.jit
def _unit_embeddings(head, features, rows):
    return embed(head, features.gather(rows)).unit


@jax.jit
def _logits(head, class_embeddings, features, rows):
    return logits(head, embed(head, features.gather(rows)), class_embeddings)


def embedded_chunks(
    head: Head, features: Features | StoredFeatures, rows: Int[np.ndarray, " rows"]
) -> Iterator[tuple[slice, Float[np.ndarray, "chunk embedding"]]]:
    """Unit-length embeddings of many rows, chunk by chunk, each with its place in `rows`."""
    return in_chunks(partial(_unit_embeddings, head), features, rows)


def in_chunks(
    function: Callable[[Features, Int[np.ndarray, " chunk"]], Array],
    features: Features | StoredFeatures,
    rows: Int[np.ndarray, " rows"],
) -> Iterator[tuple[slice, np.ndarray]]:
    """What a function makes of many rows, chunk by chunk, each with its place in `rows`.

    Every chunk is filled up to one size, so that one compilation serves all.
    """
    for start in range(0, len(rows), CHUNK):
        place = slice(start, min(start + CHUNK, len(rows)))
        found = np.asarray(function(*chunk_of(features, rows[place])))
        yield place, found[: place.stop - start]


def chunk_of(
    features: Features | StoredFeatures, rows: Int[np.ndarray, " rows"]
) -> tuple[Features, Int[np.ndarray, " chunk"]]:
    """Features that hold the rows, and where they stand there, filled up to a whole chunk."""
    if isinstance(features, Features):
        return features, np.resize(rows, CHUNK)
    values = np.zeros((CHUNK, features.source.shape[1]), features.source.dtype)
    values[: len(rows)] = features.source[rows]
    return Features(jnp.asarray(values), features.scale), np.arange(CHUNK)


def all_logits(
    head: Head,
    features: Features | StoredFeatures,
    class_embeddings: Float[Array, "classes embedding"],
    rows: Int[np.ndarray, " rows"],
) -> Float[np.ndarray, "rows classes"]:
    """Logits of many rows."""
    out = np.empty((len(rows), len(class_embeddings)), np.float32)
    for place, found in in_chunks(partial(_logits, head, class_embeddings), features, rows):
        out[place] = found
    return out


class Units(NamedTuple):
    """Mean norms of features and of their projections over the training split.

    Training divides by both, and an embedding stays what it is: so a learning rate means the same
    for every model.
    """

    features: float
    projected: float


def measure_units(task: Task) -> Units:
    """The units of a task."""
    sums, rows = np.zeros(2), task.rows("train")
    for start in range(0, len(rows), CHUNK):
        features = task.features[rows[start : start + CHUNK]].astype(np.float32)
        projected = features @ task.projection + (0 if task.bias is None else task.bias)
        sums += [np.linalg.norm(x, axis=1).sum() for x in (features, projected)]
    means = np.maximum(sums / len(rows), np.finfo(np.float32).tiny)
    return Units(features=float(means[0]), projected=float(means[1]))


def on_device(features: Float[np.ndarray, "n dim"], units: Units) -> Features:
    """Features on the device, in the units of training."""
    # Not jnp.asarray: that copies, while this shares the memory of an aligned array on a CPU.
    return Features(jax.device_put(features), jnp.float32(1 / units.features))


def clip_head(task: Task, units: Units, logit_scale: float) -> Head:
    """CLIP's own head, in the units of training."""
    weight = task.projection.T * np.float32(units.features / units.projected)
    bias = None if task.bias is None else jnp.asarray(task.bias / np.float32(units.projected))
    return Head(jnp.asarray(weight), bias, jnp.log(jnp.float32(logit_scale)))


def arrays_of(head: Head, units: Units) -> dict[str, np.ndarray]:
    """A head in the units of the cache: projection (dim, embedding), bias, logit_scale."""
    scale = np.float32(units.projected / units.features)
    arrays = {
        "projection": np.asarray(head.weight).T * scale,
        "logit_scale": np.exp(np.asarray(head.log_scale)),
    }
    if head.bias is not None:
        arrays["bias"] = np.asarray(head.bias) * np.float32(units.projected)
    return arrays
