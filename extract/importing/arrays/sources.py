"""Arrays that are read block by block: slices of rows of a file, of several arrays, of a stream."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import BinaryIO

import numpy as np
from jaxtyping import Bool, Float, Int

from clip_cfr.cache.format.layout import ArraySource

BLOCK_BYTES = 1 << 23


def is_bfloat16(dtype: np.dtype) -> bool:
    """Return whether a type is bfloat16, which NumPy saves as two bytes without a type."""
    return dtype.kind == "V" and dtype.itemsize == 2 and dtype.fields is None


def is_float(dtype: np.dtype) -> bool:
    """Return whether a type is of floating-point numbers, bfloat16 included."""
    return dtype.kind == "f" or is_bfloat16(dtype)


def float_type(dtype: np.dtype) -> np.dtype:
    """Return the type in which floating-point numbers are kept: float16 as it is, else float32."""
    return np.dtype(np.float16 if dtype.kind == "f" and dtype.itemsize == 2 else np.float32)


def to_float(block: np.ndarray) -> Float[np.ndarray, "..."]:
    """Return a block of floating-point numbers as float16 if it is float16, otherwise as float32.

    The byte order is the native one. Numbers beyond the range of float32 become infinity.
    """
    if is_bfloat16(block.dtype):
        bits = np.ascontiguousarray(block).view("<u2").astype(np.uint32) << 16
        return bits.view(np.float32)
    with np.errstate(over="ignore"):
        return block.astype(float_type(block.dtype), copy=False)


@dataclass(frozen=True)
class StreamRows:
    """The rows of an array in C order in an open file.

    Attributes:
        file: an open file that can seek; a compressed one seeks backwards slowly.
        offset: position of the first number.
        shape: shape of the array.
        dtype: type of the numbers.
    """

    file: BinaryIO
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Read the rows of a slice with step 1.

        Raises:
            EOFError: the file ends before.
        """
        start, stop, _ = rows.indices(self.shape[0])
        row_bytes = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        self.file.seek(self.offset + start * row_bytes)
        data = self.file.read(max(0, stop - start) * row_bytes)
        if len(data) < (stop - start) * row_bytes:
            raise EOFError(f"it ends before row {stop - 1} of {self.shape[0]}")
        return np.frombuffer(data, self.dtype).reshape(-1, *self.shape[1:])


class IteratedRows:
    """The rows of an array that is read from its beginning to its end, block by block.

    Slices in ascending order are fast; any that begins before the current block restarts the
    iteration.

    Args:
        shape: shape of the array.
        dtype: type of the numbers.
        iterate: starts an iteration over blocks of rows, from the first row on.

    Attributes:
        shape: as given.
        dtype: as given.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype,
        iterate: Callable[[], Iterator[np.ndarray]],
    ):
        self.shape, self.dtype = shape, dtype
        self._iterate = iterate
        self._restart()

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the rows of a slice with step 1."""
        start, stop, _ = rows.indices(self.shape[0])
        if start < self._first:
            self._restart()
        found = [np.zeros((0, *self.shape[1:]), self.dtype)]
        while start < stop:
            while self._first + len(self._block) <= start:
                self._first += len(self._block)
                self._block = next(self._blocks)
            part = self._block[start - self._first : stop - self._first]
            found.append(part)
            start += len(part)
        return np.concatenate(found)

    def _restart(self) -> None:
        self._blocks, self._first = self._iterate(), 0
        self._block = np.zeros((0, *self.shape[1:]), self.dtype)


@dataclass(frozen=True)
class ConcatenatedRows:
    """The rows of several arrays of one width, one array after the other, as an array.

    Attributes:
        parts: the arrays, at least one; all have the trailing axes of the first.
    """

    parts: Sequence[ArraySource]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of the concatenated array."""
        return self._stops[-1], *self.parts[0].shape[1:]

    @cached_property
    def dtype(self) -> np.dtype:
        """The type that holds the numbers of all parts."""
        return np.result_type(*(part.dtype for part in self.parts))

    @cached_property
    def _stops(self) -> list[int]:
        return list(accumulate(part.shape[0] for part in self.parts))

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the rows of a slice with step 1."""
        start, stop, _ = rows.indices(self.shape[0])
        found = [np.zeros((0, *self.shape[1:]), self.dtype)]
        index = bisect_right(self._stops, start)
        while start < stop:
            first = self._stops[index] - self.parts[index].shape[0]
            part = self.parts[index][start - first : stop - first]
            found.append(part)
            start, index = start + len(part), index + 1
        return np.concatenate(found).astype(self.dtype, copy=False)


@dataclass(frozen=True)
class ReshapedRows:
    """An array whose rows have another shape with as many numbers.

    Attributes:
        source: the array.
        row_shape: shape of a row.
    """

    source: ArraySource
    row_shape: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.source.shape[0], *self.row_shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        return self.source.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the rows of a slice with step 1."""
        return self.source[rows].reshape(-1, *self.row_shape)


@dataclass(frozen=True)
class SelectedRows:
    """Some rows of an array, in their order.

    Attributes:
        source: the array, of which a row may be selected only once.
        indices: indices of the rows, ascending.
    """

    source: ArraySource
    indices: Int[np.ndarray, " rows"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return len(self.indices), *self.source.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        return self.source.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the selected rows of a slice with step 1.

        The source is read in slices of at most as many rows as are returned.
        """
        wanted = self.indices[rows]
        found = np.empty((len(wanted), *self.source.shape[1:]), self.dtype)
        done = 0
        while done < len(wanted):
            start = int(wanted[done])
            stop = min(start + len(wanted), int(wanted[-1]) + 1)
            end = int(np.searchsorted(wanted, stop))
            found[done:end] = self.source[start:stop][wanted[done:end] - start]
            done = end
        return found


@dataclass(frozen=True)
class MaskedRows:
    """An array with zeros in place of some rows.

    Attributes:
        source: the array (n, dim).
        keep: (n,) true for a row that is kept, false for one of zeros.
    """

    source: ArraySource
    keep: Bool[np.ndarray, " n"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        return self.source.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the rows of a slice with step 1."""
        block, keep = self.source[rows], self.keep[rows]
        if keep.all():
            return block
        return np.where(keep[:, None], block, np.zeros((), block.dtype))


def iterate_blocks(source: ArraySource) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the index of the first row and the rows of successive blocks of up to 8 MiB.

    A block has at least one row.
    """
    row_bytes = int(np.prod(source.shape[1:])) * source.dtype.itemsize
    size = max(1, BLOCK_BYTES // max(1, row_bytes))
    for start in range(0, source.shape[0], size):
        yield start, source[start : start + size]
