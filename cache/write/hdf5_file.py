"""Create HDF5 files, and write arrays and attributes with checksums."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from clip_cfr.cache.files.sink import Sink
from clip_cfr.cache.format.encoding import encode_text
from clip_cfr.cache.format.kinds import FileKind

# Lowest and highest HDF5 file format. From 1.10 on all metadata has checksums, and a file of 1.10
# is read by every later HDF5.
LIBVER = ("v110", "v110")


@contextmanager
def create_file(path: Path) -> Iterator[tuple[h5py.File, Sink]]:
    """Create an HDF5 file, yield it with its sink, close it and sync it to the disk.

    Raises:
        OSError: the file exists or cannot be written.
    """
    with open(path, "xb+", buffering=0) as raw, Sink(raw) as sink:
        with h5py.File(path, "w", libver=LIBVER, driver="fileobj", fileobj=sink) as file:
            yield file, sink
        sink.check()
        os.fsync(raw.fileno())


def write_kind(file: h5py.File, kind: FileKind) -> None:
    """Write the root attributes `format` and `version`."""
    file.attrs["version"] = np.int32(kind.version)
    write_text(file, "format", kind.format)


def write_field(file: h5py.File, name: str, array: np.ndarray) -> None:
    """Write an array with checksums of its chunks and its SHA-256."""
    # HDF5 can neither chunk nor checksum a scalar or an empty array; its SHA-256 remains.
    chunked = {"chunks": True, "fletcher32": True} if array.ndim and array.size else {}
    data = file.create_dataset(name, data=array, **chunked)
    write_text(data, "sha256", hashlib.sha256(array.tobytes()).hexdigest())


def write_text(owner: h5py.File | h5py.Dataset, name: str, text: str) -> None:
    """Write a text attribute of the file or of an array as fixed-length UTF-8."""
    encoded = encode_text(name, text)
    owner.attrs.create(name, encoded[0], dtype=encoded.dtype)
