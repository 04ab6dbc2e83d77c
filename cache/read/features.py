"""The features of a cache, chunk by chunk, each checked before anyone sees it."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from clip_cfr.cache.errors import FieldError
from clip_cfr.cache.format.invariants import check_feature_block
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.read.hdf5_file import intact
from clip_cfr.cache.read.virtual import SourceRows

LINE = 64  # bytes


def read_features(cache: FeatureCache) -> np.ndarray:
    """All features (n, D) of a cache in an open file.

    The array begins where a cache line of the processor does: JAX takes such without a copy.
    """
    shape, dtype = cache.features.shape, cache.features.dtype
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.empty(size + LINE, np.uint8)
    start = -buffer.ctypes.data % LINE
    features = buffer[start : start + size].view(dtype).reshape(shape)
    for first, block in feature_blocks(cache):
        features[first : first + len(block)] = block
    return features


class StoredRows:
    """The features (n, D) of a cache in an open file, read when they are asked for."""

    def __init__(self, cache: FeatureCache):
        self.shape, self.dtype = cache.features.shape, cache.features.dtype
        self._cache, self._starts = cache, _block_starts(cache)
        self._stops = np.append(self._starts[1:], self.shape[0])

    def in_memory(self) -> np.ndarray:
        """All features, as `read_features` has them."""
        return read_features(self._cache)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Features (rows, D) of the rows of these numbers, which must ascend."""
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        blocks = np.unique(np.searchsorted(self._starts, rows, side="right")) - 1
        starts, stops = self._starts[blocks], self._stops[blocks]
        cuts = np.searchsorted(rows, np.append(starts, self.shape[0]))
        for start, end, (first, stop) in zip(
            starts.tolist(), stops.tolist(), pairwise(cuts), strict=True
        ):
            block = _feature_block(self._cache, start, end)
            found[first:stop] = block[rows[first:stop] - start]
        return found


def feature_blocks(cache: FeatureCache) -> Iterator[tuple[int, np.ndarray]]:
    """First row and features of one chunk after the other."""
    starts = _block_starts(cache).tolist()
    for start, stop in pairwise([*starts, len(cache.features)]):
        yield start, _feature_block(cache, start, stop)


def _block_starts(cache: FeatureCache) -> np.ndarray:
    """The first row of each chunk."""
    data = cache.features
    if isinstance(data, SourceRows):
        return data.chunk_starts
    if data.chunks is None or not data.fletcher32:
        raise FieldError("features", "chunks with checksums (fletcher32)", "none")
    return np.arange(0, len(data), data.chunks[0])


def _feature_block(cache: FeatureCache, start: int, stop: int) -> np.ndarray:
    """The features of the chunk of rows start to stop - 1."""
    with intact(f"features, rows {start} to {stop - 1}"):
        block = cache.features[start:stop]
    check_feature_block(block, cache.valid[start:stop], start)
    return block
