"""Opens any file of embeddings: choose the reader of its kind."""

import gzip
import io
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.packages import missing_package
from clip_cfr.cache.read.arrays import open_arrays
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.contents import Contents
from clip_cfr.extract.importing.arrays.errors import read_errors
from clip_cfr.extract.importing.arrays.kinds import (
    HEAD_BYTES,
    detect_head,
    detect_kind,
    reject_kind,
)
from clip_cfr.extract.importing.arrays.nested import find_arrays
from clip_cfr.extract.importing.arrays.number_text import read_numbers
from clip_cfr.extract.importing.arrays.numpy_files import (
    damage_errors,
    open_gzipped_npy,
    open_npy,
    open_npz,
)
from clip_cfr.extract.importing.arrays.pickles import load_pickle

# Length that a compressed file may have: its own is not known before it is decompressed.
UNKNOWN_SIZE = 0


def open_contents(path: Path, stack: ExitStack) -> Contents:
    """Open a file of any kind that `detect_kind` knows.

    Text is read into memory; of other kinds, rows are read when arrays are sliced, if the kind
    allows.

    Args:
        path: the file.
        stack: the file stays open until this closes.

    Raises:
        ExtractError: the file cannot be read, is damaged or of another kind, or a package that
            reads it is missing.
    """
    kind = detect_kind(path)
    try:
        return open_kind(path, kind, stack)
    except ModuleNotFoundError as error:
        raise ExtractError(f"{path} is a {kind} file: {missing_package(error)}") from error
    except CacheError as error:
        raise ExtractError(str(error)) from error


def open_kind(path: Path, kind: str, stack: ExitStack) -> Contents:
    """Open a file of a kind that `detect_kind` returned; it stays open until `stack` closes.

    Raises:
        ExtractError: the file is damaged or has no matrix.
        CacheError: an HDF5 file is damaged.
        ModuleNotFoundError: the package that reads this kind is missing.
    """
    if kind == "npy":
        return Contents({"": open_npy(path, stack)})
    if kind == "npz":
        return Contents(open_npz(path, stack))
    if kind == "hdf5":
        return Contents(open_arrays(path, stack))
    if kind == "gzip":
        return open_gzip(path, stack)
    if kind == "text":
        with path.open("rb") as file:
            return read_number_text(path, file)
    if kind in ("parquet", "arrow"):
        from clip_cfr.extract.importing.arrays.arrow_tables import open_arrow

        return open_arrow(path, kind, stack)
    if kind == "pickle":
        return Contents(find_arrays(load_pickle(path), numpy_array))
    from clip_cfr.extract.importing.arrays import tensors

    if kind == "safetensors":
        return Contents(tensors.open_safetensors(path, stack))
    return Contents(find_arrays(tensors.load_torch(path), tensors.tensor_or_array))


def open_gzip(path: Path, stack: ExitStack) -> Contents:
    """Open a gzip-compressed .npy or text file; text is read into memory.

    Raises:
        ExtractError: the file is damaged, or the compressed contents are of another kind.
    """
    with damage_errors(path), gzip.open(path) as file:
        head = file.read(HEAD_BYTES)
        kind = detect_head(path, head, UNKNOWN_SIZE)
        if kind == "text":
            file.seek(0)
            return read_number_text(path, file)
    if kind == "npy":
        return Contents({"": open_gzipped_npy(path, stack)})
    reject_kind(path, f"a compressed {kind} file, which gunzip decompresses")


def read_number_text(path: Path, file: Any) -> Contents:
    """Read the matrix of a text file in UTF-8 or UTF-16, and its other columns as a table.

    Args:
        path: the file, for messages.
        file: the file, open in binary mode at its beginning; it must support seeking.

    Raises:
        ExtractError: the file cannot be read or has no rows; or a row has another number of
            fields, or no number where one is expected.
    """
    head = file.read(2)
    file.seek(0)
    encoding = "utf-16" if head in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline="")
    try:
        with read_errors(path):
            return read_numbers(path, text)
    finally:
        text.detach()


def numpy_array(value: Any) -> np.ndarray | None:
    """Return the value if it is an array, otherwise None."""
    return value if isinstance(value, np.ndarray) else None
