"""Reader of .npy and .npz files, also compressed ones; nothing is unpickled."""

import gzip
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from clip_cfr.cache.format.layout import ArraySource
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.errors import REMEDY
from clip_cfr.extract.importing.arrays.sources import StreamRows

HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# Exceptions of a damaged file while its numbers are read, and while its header is parsed.
DAMAGE = (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error)
HEADER_DAMAGE = (
    *DAMAGE,
    *(AttributeError, KeyError, NotImplementedError, OverflowError, RuntimeError, TypeError),
    *(SyntaxError, struct.error, tokenize.TokenError),
)


def open_npy(path: Path, stack: ExitStack) -> ArraySource:
    """Open the array of a .npy file, which stays open until `stack` closes.

    Raises:
        ExtractError: the file is truncated or damaged, or holds Python objects.
    """
    return read_header(path, stack.enter_context(path.open("rb")))


def open_gzipped_npy(path: Path, stack: ExitStack) -> ArraySource:
    """Open the array of a gzip-compressed .npy file; the file stays open until `stack` closes.

    An array in Fortran order is read into memory.

    Raises:
        ExtractError: the header is damaged or not one of NumPy, or the array holds Python objects.
            A file that is damaged after the header may raise only when its rows are read.
    """
    return read_header(path, stack.enter_context(gzip.open(path)), is_plain=False)


def open_npz(path: Path, stack: ExitStack) -> dict[str, ArraySource]:
    """Open the arrays of a .npz file by name; the file stays open until `stack` closes.

    The names are those of the entries without `.npy`.

    Raises:
        ExtractError: the file is truncated or damaged, or an array holds Python objects.
    """
    with damage_errors(path, HEADER_DAMAGE):
        archive = stack.enter_context(zipfile.ZipFile(path))
        return {
            name.removesuffix(".npy"): read_header(
                path, stack.enter_context(archive.open(name)), is_plain=False
            )
            for name in archive.namelist()
        }


def read_header(path: Path, file: BinaryIO, is_plain: bool = True) -> ArraySource:
    """Return the array whose header begins an open file.

    Its rows are read from the file when they are sliced. An array stored column by column is mapped
    into memory, or read whole if the file is not plain. For an array without axes, a zero stands
    in.

    Args:
        path: the file, for messages.
        file: the open file or member of an archive.
        is_plain: whether the file holds the array as it is, so that it can be mapped into memory.

    Raises:
        ExtractError: the header is not one of NumPy, a plain file is shorter than it says, or the
            array holds Python objects.
    """
    with damage_errors(path, HEADER_DAMAGE):
        version = np.lib.format.read_magic(file)
        if version not in HEADER_READERS:
            raise ValueError(f"version {version} of the format holds tables with named columns")
        shape, fortran_order, dtype = HEADER_READERS[version](file)
        offset = file.tell()
        if is_plain:
            check_length(path, offset + int(np.prod(shape)) * dtype.itemsize)
    if dtype.hasobject:
        raise ExtractError(
            f"{path} holds Python objects, such as arrays of different lengths, expected numbers; "
            "stack the arrays with numpy.stack and save the result with numpy.save"
        )
    if not shape:
        return np.zeros((), dtype)
    if fortran_order and len(shape) > 1:
        load = partial(map_columns if is_plain else read_columns, path, file)
        return load(offset, shape, dtype)
    return StreamRows(file, offset, shape, dtype)


def check_length(path: Path, expected: int) -> None:
    """Raise EOFError if a file has fewer than `expected` bytes."""
    found = path.stat().st_size
    if found < expected:
        raise EOFError(f"it has {found:,} bytes, expected {expected:,}")


def map_columns(
    path: Path, file: BinaryIO, offset: int, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Map the array in Fortran order at `offset` of a plain file into memory, read-only.

    Raises:
        ExtractError: the file is truncated or damaged.
    """
    with damage_errors(path):
        return np.memmap(file, dtype, "r", offset, shape, "F")


def read_columns(
    path: Path, file: BinaryIO, offset: int, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Read the whole array in Fortran order at `offset` of a compressed file into memory.

    Raises:
        ExtractError: the file is truncated or damaged.
    """
    with damage_errors(path):
        return StreamRows(file, offset, shape[::-1], dtype)[:].T


@contextmanager
def damage_errors(path: Path, kinds: tuple[type[Exception], ...] = DAMAGE) -> Iterator[None]:
    """Convert each error of a damaged file in the block to an ExtractError that names the file.

    Args:
        path: the file.
        kinds: the exceptions to convert; others pass unchanged.
    """
    try:
        yield
    except kinds as error:
        raise ExtractError(f"{path} is truncated or damaged ({error}); {REMEDY}") from error
