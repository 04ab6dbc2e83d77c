"""Write a cache that is in memory or in another file."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np

from clip_cfr.cache.errors import error_context
from clip_cfr.cache.files.atomic import make_write_error, replace_file, temporary_path
from clip_cfr.cache.files.sink import Sink
from clip_cfr.cache.format.encoding import (
    axis_sizes,
    decode_metadata,
    encode_fields,
    encode_metadata,
    metadata_digest,
)
from clip_cfr.cache.format.identity import IdentityMatrix
from clip_cfr.cache.format.invariants import check_feature_block, check_values
from clip_cfr.cache.format.kinds import CACHE
from clip_cfr.cache.format.layout import ArraySource, check_layout
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.write.hdf5_file import create_file, write_field, write_kind, write_text
from clip_cfr.cache.write.output import check_replaceable, reserve_output

CHUNK_BYTES = 1 << 20
# Number of rows and columns of a chunk of an identity matrix: 16 KiB of float32.
IDENTITY_CHUNK = 64


def write_cache(
    path: str | Path,
    cache: FeatureCache,
    overwrite: bool = False,
    inputs: Iterable[Path | None] = (),
) -> None:
    """Write a cache to `path` atomically: the file is complete, or as it was before.

    Args:
        path: the file to write; if it is a symbolic link, its target.
        cache: the contents.
        overwrite: whether to replace a cache. A file of another kind is never replaced.
        inputs: files that the contents are from, none of which may be the output; None and missing
            ones are skipped.

    Raises:
        OutputError: the output is one of the inputs.
        CacheError: the cache breaks a rule of the format, the file exists and is not a cache or
            `overwrite` is false, another process writes it, or it cannot be written, for example
            because the disk is full.
    """
    with reserve_output(Path(path), overwrite, inputs) as target:
        try:
            write_atomically(target, cache, overwrite)
        except OSError as error:
            raise make_write_error(
                target, error, f"{count_bytes(cache):,} bytes are needed"
            ) from error


def write_atomically(
    path: Path,
    cache: FeatureCache,
    overwrite: bool,
    virtual: h5py.VirtualLayout | None = None,
) -> None:
    """Write a cache under a temporary name and rename it; the caller has reserved the output.

    Args:
        path: the cache to write, which is not a symbolic link.
        cache: the contents; its features may be any `ArraySource`.
        overwrite: whether to replace a cache that is at `path`.
        virtual: layout that refers to the features in other files. If given, the features are
            read from `cache` to check them and to compute their SHA-256, but not copied.

    Raises:
        CacheError: the cache breaks a rule of the format, or `path` exists and may not be replaced
            (`check_replaceable`).
        OSError: the file cannot be written; the temporary file is removed.
    """
    temporary = temporary_path(path)
    try:
        with error_context(path, "nothing was written"):
            _write_file(temporary, cache, virtual)
        check_replaceable(path, overwrite)
        replace_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def count_bytes(cache: FeatureCache) -> int:
    """Return the size of the cache's arrays in bytes; the file is a few kB larger.

    Of an `IdentityMatrix` only the chunks that are stored count.
    """
    return sum(
        int(np.prod(_stored_shape(field))) * field.dtype.itemsize
        for field in encode_fields(cache).values()
    )


def _stored_shape(array: ArraySource) -> tuple[int, ...]:
    """Return the shape of an array, or of the diagonal chunks of an identity matrix."""
    if isinstance(array, IdentityMatrix):
        return array.dim, min(IDENTITY_CHUNK, array.dim)
    return array.shape


def feature_chunk(shape: tuple[int, int], itemsize: int) -> tuple[int, int]:
    """Return the shape (rows, dim) of a chunk of features: complete rows, at most about 1 MiB.

    Args:
        shape: (n, dim) of the features; a chunk has 1 to n rows.
        itemsize: bytes of a number.
    """
    return max(1, min(shape[0], CHUNK_BYTES // (shape[1] * itemsize))), shape[1]


def _write_file(path: Path, cache: FeatureCache, virtual: h5py.VirtualLayout | None) -> None:
    metadata, fields = encode_metadata(cache), encode_fields(cache)
    check_layout(fields, axis_sizes(decode_metadata(metadata)))
    check_values(cache)
    with create_file(path) as (file, sink):
        _write_metadata(file, metadata)
        _write_features(file, fields.pop("features"), cache.valid, sink, virtual)
        for name, array in fields.items():
            if isinstance(array, IdentityMatrix):
                _write_identity(file, name, array)
            else:
                write_field(file, name, array)


def _write_metadata(file: h5py.File, metadata: dict[str, str]) -> None:
    write_kind(file, CACHE)
    for name, text in metadata.items():
        write_text(file, name, text)
    write_text(file, "metadata_sha256", metadata_digest(metadata))


def _write_features(
    file: h5py.File,
    features: ArraySource,
    valid: np.ndarray,
    sink: Sink,
    virtual: h5py.VirtualLayout | None,
) -> None:
    chunks = feature_chunk(features.shape, features.dtype.itemsize)
    if virtual is None:
        data = file.create_dataset(
            "features", features.shape, features.dtype, chunks=chunks, fletcher32=True
        )
    else:
        data = file.create_virtual_dataset("features", virtual)
    digest = hashlib.sha256()
    for start, block in _read_blocks(features, chunks[0]):
        check_feature_block(block, valid[start : start + len(block)], start)
        if virtual is None:
            data[start : start + len(block)] = block
        digest.update(block)
        sink.check()
    write_text(data, "sha256", digest.hexdigest())


def _read_blocks(array: ArraySource, length: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the index of the first row and the numbers of each block of rows."""
    for start in range(0, array.shape[0], length):
        yield start, np.ascontiguousarray(array[start : start + length])


def _write_identity(file: h5py.File, name: str, matrix: IdentityMatrix) -> None:
    """Write the square chunks of the diagonal; HDF5 reads all others as zeros."""
    side = min(IDENTITY_CHUNK, matrix.dim)
    data = file.create_dataset(
        name, matrix.shape, matrix.dtype, chunks=(side, side), fletcher32=True
    )
    digest = hashlib.sha256()
    for start, block in _read_blocks(matrix, side):
        stop = start + len(block)
        data[start:stop, start:stop] = block[:, start:stop]
        digest.update(block)
    write_text(data, "sha256", digest.hexdigest())
