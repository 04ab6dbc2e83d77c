"""Read features chunk by chunk, and check each chunk."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from clip_cfr.cache.errors import FieldError
from clip_cfr.cache.format.invariants import check_feature_block
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.hdf5_file import detect_damage
from clip_cfr.cache.read.virtual import MergedRows

# Alignment in bytes at which JAX uses a numpy array without copying it.
ALIGNMENT = 64


def read_features(cache: FeatureCache) -> np.ndarray:
    """Read and check all features of a cache in an open file.

    Args:
        cache: its `features` are the HDF5 dataset or `MergedRows`.

    Returns:
        (n, dim) in the stored type, aligned so that JAX on the CPU does not copy it.

    Raises:
        FieldError: a chunk is damaged or breaks a rule of the format.
    """
    shape, dtype = cache.features.shape, cache.features.dtype
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    features = buffer[start : start + size].view(dtype).reshape(shape)
    for first_row, block in iterate_chunks(cache):
        features[first_row : first_row + len(block)] = block
    return features


class FeaturesOnDisk:
    """The features of a cache in an open file, read when they are indexed.

    Attributes:
        shape: (n, dim).
        dtype: the stored type.

    Args:
        cache: its `features` are the HDF5 dataset or `MergedRows`, in a file that stays open.
    """

    def __init__(self, cache: FeatureCache):
        self.shape, self.dtype = cache.features.shape, cache.features.dtype
        self._cache, self._starts = cache, _chunk_starts(cache)
        self._stops = np.append(self._starts[1:], self.shape[0])

    def read_all(self) -> np.ndarray:
        """Read and check all features, (n, dim), see `read_features`."""
        return read_features(self._cache)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Read the features of some rows, from the chunks that hold them.

        Args:
            rows: row indices in ascending order, (b,).

        Returns:
            The features, (b, dim), in the order of `rows`.

        Raises:
            FieldError: a chunk is damaged or breaks a rule of the format; `open_cache` converts it
                to CacheError.
        """
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        chunks = np.unique(np.searchsorted(self._starts, rows, side="right")) - 1
        starts, stops = self._starts[chunks], self._stops[chunks]
        # Rows first to last - 1 of `found` lie in the chunk of rows start to stop - 1.
        bounds = np.searchsorted(rows, np.append(starts, self.shape[0]))
        for start, stop, (first, last) in zip(
            starts.tolist(), stops.tolist(), pairwise(bounds), strict=True
        ):
            chunk = _read_chunk(self._cache, start, stop)
            found[first:last] = chunk[rows[first:last] - start]
        return found


def iterate_chunks(cache: FeatureCache) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the index of the first row and the features (b, dim) of each chunk, in order.

    Raises:
        FieldError: the chunk that is read next is damaged or breaks a rule of the format.
    """
    starts = _chunk_starts(cache).tolist()
    for start, stop in pairwise([*starts, len(cache.features)]):
        yield start, _read_chunk(cache, start, stop)


def _chunk_starts(cache: FeatureCache) -> np.ndarray:
    """Return the index of the first row of each chunk."""
    data = cache.features
    if isinstance(data, MergedRows):
        return data.chunk_starts
    if data.chunks is None or not data.fletcher32:
        raise FieldError("features", "chunks with checksums (fletcher32)", "none")
    return np.arange(0, len(data), data.chunks[0])


def _read_chunk(cache: FeatureCache, start: int, stop: int) -> np.ndarray:
    """Read the features of rows start to stop - 1, and check that they obey the format.

    Raises:
        FieldError: the data are damaged, not finite, or not zero in an invalid row.
    """
    with detect_damage(f"features, rows {start} to {stop - 1}"):
        block = cache.features[start:stop]
    check_feature_block(block, cache.valid[start:stop], start)
    return block
