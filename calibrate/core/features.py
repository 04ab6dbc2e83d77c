"""Features on the device or in a file, and how many rows of them are processed in chunks."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.task import RowSource

CHUNK_ROWS = 1024


class Features(NamedTuple):
    """Features on the device.

    Attributes:
        values: features as stored, in float16 or float32.
        scale: factor that gives them a mean norm of 1.
    """

    values: Float[Array, "n dim"]
    scale: Float[Array, ""]

    def gather(self, rows: Int[Array, " rows"]) -> Float[Array, "rows dim"]:
        """Return rows scaled and in float32, without converting the whole array."""
        return self.values[rows].astype(jnp.float32) * self.scale


class StoredFeatures(NamedTuple):
    """Features that stay in a file.

    Attributes:
        source: the features as stored.
        scale: factor that gives them a mean norm of 1.
    """

    source: RowSource
    scale: Float[Array, ""]


class Data(NamedTuple):
    """Arrays that the compiled training loop reads; row indices count the resident rows.

    Attributes:
        features: features of the resident rows.
        labels: their classes.
        class_embeddings: unit-length embeddings of the class prompts.
        val_rows: row indices of the validation split.
        val_groups: group of each validation row.
        val_group_counts: validation rows of each group, as whole floats.
        group_labels: class of each group.
    """

    features: Features
    labels: Int[Array, " n"]
    class_embeddings: Float[Array, "classes embedding"]
    val_rows: Int[Array, " val"]
    val_groups: Int[Array, " val"]
    val_group_counts: Float[Array, " groups"]
    group_labels: Int[Array, " groups"]


def map_chunks(
    function: Callable[[Features, Int[np.ndarray, " chunk"]], Array],
    features: Features | StoredFeatures,
    rows: Int[np.ndarray, " rows"],
) -> Iterator[tuple[slice, np.ndarray]]:
    """Apply a function to many rows chunk by chunk; yield each chunk's slice of `rows` and result.

    All chunks have the same size, so that one compiled program serves them.

    Args:
        function: takes features and row indices into them, and returns one entry for each index.
    """
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = slice(start, min(start + CHUNK_ROWS, len(rows)))
        result = np.asarray(function(*load_chunk(features, rows[chunk])))
        yield chunk, result[: chunk.stop - start]


def load_chunk(
    features: Features | StoredFeatures, rows: Int[np.ndarray, " rows"]
) -> tuple[Features, Int[np.ndarray, " chunk"]]:
    """Return features on the device and the indices of the rows there, padded to a whole chunk."""
    if isinstance(features, Features):
        return features, np.resize(rows, CHUNK_ROWS)
    values = np.zeros((CHUNK_ROWS, features.source.shape[1]), features.source.dtype)
    values[: len(rows)] = features.source[rows]
    return Features(jnp.asarray(values), features.scale), np.arange(CHUNK_ROWS)


def to_device(features: Float[np.ndarray, "n dim"], mean_norm: float) -> Features:
    """Put features on the device, to be scaled to a mean norm of 1."""
    # Unlike jnp.asarray, device_put shares the memory of an aligned array on a CPU.
    return Features(jax.device_put(features), jnp.float32(1 / mean_norm))
