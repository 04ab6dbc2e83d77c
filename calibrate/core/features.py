"""Features on the device or in a file, and how many rows of them are processed in chunks."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from clip_cfr.calibrate.core.row_source import RowSource

CHUNK_ROWS = 1024


class Features(NamedTuple):
    """Features on the device.

    Attributes:
        values: features as stored, in float16 or float32.
        scale: float32 factor that gives them a mean norm of 1 over the training split.
    """

    values: Float[Array, "n dim"]
    scale: Float[Array, ""]

    def gather(self, rows: Int[Array, " rows"]) -> Float[Array, "rows dim"]:
        """Return the rows at these indices, scaled, in float32; converts no other rows."""
        return self.values[rows].astype(jnp.float32) * self.scale


class StoredFeatures(NamedTuple):
    """Features that stay in a file.

    Attributes:
        source: the features as stored, read by ascending row indices.
        scale: float32 factor that gives them a mean norm of 1 over the training split.
    """

    source: RowSource
    scale: Float[Array, ""]


class Data(NamedTuple):
    """Arrays on the device that the compiled training loop reads.

    Attributes:
        features: features of the resident rows, which may end with rows of zeros as padding.
        labels: class of each resident row.
        class_embeddings: unit-length embeddings of the class prompts, float32.
        val_rows: indices of the validation split among the resident rows.
        val_groups: group of each validation row, in the order of `val_rows`.
        val_group_counts: validation rows of each group, as whole float32 numbers.
        val_inferred: inferred group of each validation row, see `infer_groups`.
        val_inferred_counts: validation rows of each inferred group, 0 for those that do not count.
        group_labels: class of each group.
        val_named: named groups of each validation row, see `number_cells`; None if no attribute is
            named in words.
        val_named_counts: validation rows of each named group, and 0 at the end; None as above.
    """

    features: Features
    labels: Int[Array, " n"]
    class_embeddings: Float[Array, "classes embedding"]
    val_rows: Int[Array, " val"]
    val_groups: Int[Array, " val"]
    val_group_counts: Float[Array, " groups"]
    val_inferred: Int[Array, " val"]
    val_inferred_counts: Float[Array, " inferred"]
    group_labels: Int[Array, " groups"]
    val_named: Int[Array, "val attributes"] | None = None
    val_named_counts: Float[Array, " named"] | None = None


def map_chunks(
    function: Callable[[Features, Int[np.ndarray, " chunk"]], Array],
    features: Features | StoredFeatures,
    rows: Int[np.ndarray, " rows"],
) -> Iterator[tuple[slice, np.ndarray]]:
    """Apply a function to `CHUNK_ROWS` rows at a time.

    Every call gets `CHUNK_ROWS` indices, the last ones padded, so that one compiled program serves
    all chunks.

    Args:
        function: takes features and row indices into them, and returns one entry for each index.
        rows: row indices in the task; ascending if the features are in a file.

    Yields:
        A slice of `rows`, and the results of its rows without those of the padding, as a NumPy
        array. The slices follow each other and cover `rows`; there are none if it is empty.
    """
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = slice(start, min(start + CHUNK_ROWS, len(rows)))
        result = np.asarray(function(*load_chunk(features, rows[chunk])))
        yield chunk, result[: chunk.stop - start]


def load_chunk(
    features: Features | StoredFeatures, rows: Int[np.ndarray, " rows"]
) -> tuple[Features, Int[np.ndarray, " chunk"]]:
    """Return features on the device that contain the rows, and the indices of the rows in them.

    Features in a file are read into an array of `CHUNK_ROWS` rows that ends with zeros; features on
    the device are returned as they are.

    Args:
        rows: up to `CHUNK_ROWS` row indices in the task, ascending if the features are in a file.

    Returns:
        The features, and `CHUNK_ROWS` indices: first those of `rows` in order, then padding.
    """
    if isinstance(features, Features):
        return features, np.resize(rows, CHUNK_ROWS)
    values = np.zeros((CHUNK_ROWS, features.source.shape[1]), features.source.dtype)
    values[: len(rows)] = features.source[rows]
    return Features(jnp.asarray(values), features.scale), np.arange(CHUNK_ROWS)


def to_device(features: Float[np.ndarray, "n dim"], mean_norm: float) -> Features:
    """Put features on the device as stored, with the factor 1 / `mean_norm` to scale them by.

    On a CPU the device array may share the memory of `features`.
    """
    # Unlike jnp.asarray, device_put shares the memory of an aligned array on a CPU.
    return Features(jax.device_put(features), jnp.float32(1 / mean_norm))
