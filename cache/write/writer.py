"""Writes a whole cache under its final name."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from clip_cfr.cache.errors import located
from clip_cfr.cache.files.atomic import beside, locked, move_into_place, refuse_finished, unwritable
from clip_cfr.cache.files.sink import Sink
from clip_cfr.cache.format.encoding import (
    axis_sizes,
    decode_metadata,
    encode_fields,
    encode_metadata,
    encode_text,
    metadata_digest,
)
from clip_cfr.cache.format.invariants import check_feature_block, check_values
from clip_cfr.cache.format.layout import FORMAT, VERSION, Stored, check_layout
from clip_cfr.cache.format.schema import FeatureCache

CHUNK_BYTES = 1 << 20
# The first library version whose metadata all has checksums, and no newer one, so that every
# HDF5 since 1.10 reads the file.
LIBRARY = ("v110", "v110")


def write_cache(path: str | Path, cache: FeatureCache, overwrite: bool = False) -> None:
    """Writes a cache to `path`, whole or not at all.

    Raises:
        CacheError: the cache breaks a rule of the format, the file exists and `overwrite` is
            false, another process is writing it, or the disk is full.
    """
    path = Path(path)
    with locked(path):
        refuse_finished(path, overwrite)
        try:
            place(path, cache)
        except OSError as error:
            raise unwritable(path, error, f"{total_bytes(cache):,} bytes are needed") from error


def place(path: Path, cache: FeatureCache, virtual: h5py.VirtualLayout | None = None) -> None:
    """Assembles the file at a temporary name and renames it; the caller holds the lock.

    `cache.features` may be anything with a shape, a dtype and slices of rows. With `virtual` they
    are read for their digest alone, and the file refers to where they are.

    Raises:
        CacheError: the cache breaks a rule of the format.
        OSError: the file cannot be written; nothing of it remains.
    """
    temporary = beside(path, "tmp")
    try:
        with located(path, "nothing was written"):
            _assemble(temporary, cache, virtual)
        move_into_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def total_bytes(cache: FeatureCache) -> int:
    """How large the file becomes, but for a few kB of HDF5's own."""
    fields = encode_fields(cache).values()
    return sum(int(np.prod(field.shape)) * field.dtype.itemsize for field in fields)


def feature_chunk(shape: tuple[int, int], itemsize: int) -> tuple[int, int]:
    """The shape of a chunk of features: whole rows, about a MiB of them."""
    return max(1, min(shape[0], CHUNK_BYTES // (shape[1] * itemsize))), shape[1]


def _assemble(path: Path, cache: FeatureCache, virtual: h5py.VirtualLayout | None) -> None:
    metadata, fields = encode_metadata(cache), encode_fields(cache)
    check_layout(fields, axis_sizes(decode_metadata(metadata)))
    check_values(cache)
    with open(path, "wb+", buffering=0) as raw, Sink(raw) as sink:
        with h5py.File(path, "w", libver=LIBRARY, driver="fileobj", fileobj=sink) as file:
            _write_metadata(file, metadata)
            _write_features(file, fields.pop("features"), cache.valid, sink, virtual)
            for name, array in fields.items():
                _write_field(file, name, array)
        sink.check()
        os.fsync(raw.fileno())


def _write_metadata(file: h5py.File, metadata: dict[str, str]) -> None:
    file.attrs["version"] = np.int32(VERSION)
    _write_text(file, "format", FORMAT)
    for name, text in metadata.items():
        _write_text(file, name, text)
    _write_text(file, "metadata_sha256", metadata_digest(metadata))


def _write_features(
    file: h5py.File,
    features: Stored,
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
    for start, block in _blocks(features, chunks[0]):
        check_feature_block(block, valid[start : start + len(block)], start)
        if virtual is None:
            data[start : start + len(block)] = block
        digest.update(block)
        sink.check()
    _write_text(data, "sha256", digest.hexdigest())


def _blocks(features: Stored, length: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, features.shape[0], length):
        yield start, np.ascontiguousarray(features[start : start + length])


def _write_field(file: h5py.File, name: str, array: np.ndarray) -> None:
    # HDF5 has neither chunks nor checksums for a scalar or for no elements; SHA-256 covers both.
    chunked = {"chunks": True, "fletcher32": True} if array.ndim and array.size else {}
    data = file.create_dataset(name, data=array, **chunked)
    _write_text(data, "sha256", hashlib.sha256(array.tobytes()).hexdigest())


def _write_text(owner: h5py.File | h5py.Dataset, name: str, text: str) -> None:
    encoded = encode_text(name, text)
    owner.attrs.create(name, encoded[0], dtype=encoded.dtype)
