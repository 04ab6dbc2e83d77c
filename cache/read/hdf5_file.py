"""Opens a finished cache, or says why it cannot be one."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from clip_cfr.cache.errors import CacheError, FieldError, located
from clip_cfr.cache.files.journal import describe_growing
from clip_cfr.cache.format.encoding import TEXT_ATTRIBUTES, metadata_digest
from clip_cfr.cache.format.layout import FIELDS, FORMAT, VERSION

SIGNATURE = b"\x89HDF\r\n\x1a\n"
REMEDY = "the file is damaged: restore it, or write it again with --overwrite"
MISSING = "no such file; write it with extract or import, --out"
# What h5py raises where HDF5 meets bytes that fail their checksum or make no sense.
HDF5_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A block with the open file of a cache whose format and version this program knows.

    Field errors that leave the block become cache errors that name the file.

    Raises:
        CacheError: the file is missing, still growing, cut short, or no cache.
    """
    _check_signature(path)
    try:
        # No locks: a finished file never changes, and some network disks have none.
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        found = "one that is cut short or damaged"
        raise CacheError(f"{path}: expected a whole HDF5 file, found {found}; {REMEDY}") from error
    with file, located(path, REMEDY):
        _check_format(path, file)
        yield file


@contextmanager
def intact(field: str) -> Iterator[None]:
    """A block of HDF5 calls whose failures say that the field is damaged."""
    try:
        yield
    except HDF5_ERRORS as error:
        raise FieldError(field, "bytes that match their checksum", "damaged ones") from error


def read_metadata(file: h5py.File) -> dict[str, str]:
    """The text of the root attributes, checked against their SHA-256."""
    metadata = {name: read_text(file, name) for name in TEXT_ATTRIBUTES}
    expected, found = read_text(file, "metadata_sha256"), metadata_digest(metadata)
    if found != expected:
        raise FieldError("the root attributes", f"SHA-256 {expected}", found)
    return metadata


def read_text(owner: h5py.File | h5py.Dataset, name: str) -> str:
    """A text attribute of the file or of a data set."""
    value = _attribute(owner, name)
    if not isinstance(value, bytes):
        raise FieldError(_attribute_name(owner, name), "text of fixed length", _described(value))
    with intact(_attribute_name(owner, name)):
        return value.decode()


def stored_fields(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The data sets of the format that the file holds, by name."""
    found = {}
    for field in FIELDS:
        with intact(field.name):
            if field.name in file and isinstance(data := file[field.name], h5py.Dataset):
                found[field.name] = data
    return found


def stored_digest(file: h5py.File) -> str:
    """SHA-256, in hex, over the stored digests of all contents: see `content_digest`."""
    digests = {name: read_text(data, "sha256") for name, data in stored_fields(file).items()}
    digests["metadata"] = read_text(file, "metadata_sha256")
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _check_signature(path: Path) -> None:
    if path.suffix in (".partial", ".journal"):
        raise CacheError(f"{path}: {describe_growing(path.with_suffix('')) or MISSING}")
    try:
        with open(path, "rb") as file:
            found = file.read(len(SIGNATURE))
    except FileNotFoundError as error:
        raise CacheError(f"{path}: {describe_growing(path) or MISSING}") from error
    except OSError as error:
        raise CacheError(f"{path}: cannot be read: {error.strerror}") from error
    if found != SIGNATURE:
        kind = f"one that begins with {found!r}" if found else "an empty one"
        raise CacheError(f"{path}: expected an HDF5 file, found {kind}")


def _check_format(path: Path, file: h5py.File) -> None:
    found = _attribute(file, "format")
    if not isinstance(found, bytes) or found != FORMAT.encode():
        raise CacheError(
            f"{path}: expected the root attribute format = {FORMAT}, found {_described(found)}; "
            "this HDF5 file is no feature cache: write one with extract or import"
        )
    version = _attribute(file, "version")
    if not isinstance(version, np.integer) or version < 1:
        raise FieldError("version", f"a whole number up to {VERSION}", _described(version))
    if version > VERSION:
        raise CacheError(
            f"{path}: expected version {VERSION} of the format, found {version}; "
            "install a newer clip-cfr"
        )


def _attribute(owner: h5py.File | h5py.Dataset, name: str) -> Any:
    """The attribute's value, or None where there is none."""
    with intact(_attribute_name(owner, name)):
        # Not `get`, which takes damaged attributes for missing ones.
        return owner.attrs[name] if name in owner.attrs else None  # noqa: SIM401


def _attribute_name(owner: h5py.File | h5py.Dataset, name: str) -> str:
    return f"root attribute {name}" if owner.name == "/" else f"{owner.name[1:]}, {name}"


def _described(value: Any) -> str:
    return "none" if value is None else repr(value)
