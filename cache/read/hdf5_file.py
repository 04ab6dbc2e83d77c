"""Open the HDF5 file of a finished cache, and read its root attributes and digests."""

import hashlib
import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from clip_cfr.cache.console import program_name
from clip_cfr.cache.errors import CacheError, FieldError, error_context
from clip_cfr.cache.files.journal import describe_unfinished
from clip_cfr.cache.format.encoding import TEXT_ATTRIBUTES, metadata_digest
from clip_cfr.cache.format.kinds import CACHE, FileKind
from clip_cfr.cache.format.layout import FIELDS, VOCABULARY_PREFIX
from clip_cfr.cache.runs.folder import is_run
from clip_cfr.cache.runs.grid_contents import RESULT, is_result

OWN_ARRAY = "an array in the file itself"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
REMEDY = "the file is damaged: restore it, or write it again with --overwrite"
NO_FILE = "no such file; write it with {}, --out"
# Number of bytes at each end of a damaged file that are searched for the format's name.
SEARCHED_BYTES = 1 << 20
# Exceptions that h5py raises for bytes that fail their checksum or are malformed.
HDF5_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError)


@contextmanager
def open_hdf5(path: Path, kind: FileKind = CACHE) -> Iterator[h5py.File]:
    """Open a finished file for reading, after checking its format and version.

    A FieldError that the block raises is converted to a CacheError that names the file.

    Args:
        path: the file.
        kind: the kind of the file, by default a cache.

    Raises:
        CacheError: the file is missing, unfinished, truncated, of another kind, or of a newer
            version of the format.
    """
    _check_signature(path, kind)
    try:
        # Without locks: a finished file never changes, and some network disks have no locks.
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise CacheError(
            f"{path}: expected a complete HDF5 file, found a truncated or damaged one; {REMEDY}"
        ) from error
    with file, error_context(path, REMEDY):
        _check_format(path, file, kind)
        yield file


def is_cache(path: Path) -> bool:
    """Return whether a regular file is a cache, see `is_of_kind`."""
    return is_of_kind(path, CACHE)


def is_of_kind(path: Path, kind: FileKind) -> bool:
    """Return whether a regular file is of a kind, of any version, sound or damaged.

    It is recognized by its root attribute `format`. If HDF5 cannot read the file, the value is
    searched at both ends of the file, where the root attributes are. A file without the signature
    of HDF5, such as an empty one, is of no kind.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return False
    try:
        with h5py.File(path, "r", locking=False) as file:
            return "format" in file.attrs and _is_format(file.attrs["format"], kind)
    except HDF5_ERRORS:
        return _contains_format(path, kind)


def _is_format(value: object, kind: FileKind) -> bool:
    return isinstance(value, bytes) and value == kind.format.encode()


def _contains_format(path: Path, kind: FileKind) -> bool:
    with open(path, "rb") as file:
        start = file.read(SEARCHED_BYTES)
        file.seek(max(0, path.stat().st_size - SEARCHED_BYTES))
        return kind.format.encode() in start or kind.format.encode() in file.read()


@contextmanager
def detect_damage(field: str) -> Iterator[None]:
    """Convert an error that h5py raises in the block to a FieldError: `field` is damaged.

    Converted are all `HDF5_ERRORS`, among them OSError and ValueError of other code in the block.
    """
    try:
        yield
    except HDF5_ERRORS as error:
        raise FieldError(field, "data that matches its checksum", "damaged data") from error


def read_metadata(file: h5py.File) -> dict[str, str]:
    """Return the text of each attribute of `TEXT_ATTRIBUTES` by name, after checking their SHA-256.

    Raises:
        FieldError: an attribute is missing, or the SHA-256 differs from the stored one.
    """
    metadata = {name: read_text(file, name) for name in TEXT_ATTRIBUTES}
    expected, found = read_text(file, "metadata_sha256"), metadata_digest(metadata)
    if found != expected:
        raise FieldError("root attributes", f"SHA-256 {expected}", found)
    return metadata


def read_text(owner: h5py.File | h5py.Dataset, name: str) -> str:
    """Return a text attribute of the file or of an HDF5 dataset.

    Raises:
        FieldError: the attribute is missing, damaged, or not fixed-length UTF-8.
    """
    value = _read_attribute(owner, name)
    if not isinstance(value, bytes):
        raise FieldError(_attribute_name(owner, name), "fixed-length text", _as_text(value))
    with detect_damage(_attribute_name(owner, name)):
        return value.decode()


def find_datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return the HDF5 datasets of the format that the file contains, by name; others are ignored.

    Raises:
        FieldError: a dataset is a soft or external link, or is damaged.
    """
    found = {field.name: find_dataset(file, field.name) for field in FIELDS}
    return {name: data for name, data in found.items() if data is not None}


def find_dataset(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return an HDF5 dataset of the file, or None if the file has none with this name.

    Args:
        file: the open file.
        name: path of the dataset in the file, such as `head/bias`.

    Raises:
        FieldError: the name, or a group in it, is a soft or external link; or the data are
            damaged.
    """
    found = file
    with detect_damage(name):
        for part in name.split("/"):
            if not isinstance(found, h5py.Group) or part not in found:
                return None
            _check_hard_link(name, found.get(part, getlink=True))
            found = found[part]
    return found if isinstance(found, h5py.Dataset) else None


def _check_hard_link(name: str, link: object) -> None:
    """Raise FieldError for a soft or external link: an array must be in the file itself."""
    if isinstance(link, h5py.ExternalLink):
        raise FieldError(name, OWN_ARRAY, f"a link to {link.path} in {link.filename}")
    if isinstance(link, h5py.SoftLink):
        raise FieldError(name, OWN_ARRAY, f"a link to {link.path}")


def check_storage(name: str, data: h5py.Dataset) -> None:
    """Check that an HDF5 dataset is in the file itself, in chunks with checksums (fletcher32).

    A scalar or empty dataset needs no checksums.

    Args:
        name: name of the dataset, for the error.
        data: the dataset; its contents are not read.

    Raises:
        FieldError: it refers to other files, or has no checksums.
    """
    with detect_damage(name):
        others = [each[0] for each in data.external or ()]
        if data.is_virtual:
            others += [each.file_name for each in data.virtual_sources()]
        checked = data.ndim == 0 or data.size == 0 or (data.chunks and data.fletcher32)
    if others:
        raise FieldError(name, OWN_ARRAY, f"one that is stored in {others[0]}")
    if not checked:
        raise FieldError(name, "chunks with checksums (fletcher32)", "none")


def read_content_digest(file: h5py.File) -> str:
    """Return the hex SHA-256 of the contents, computed from the stored digests (FORMAT.md).

    The arrays are not read, so a damaged array is not noticed. The vocabulary does not count.

    Raises:
        FieldError: a stored digest is missing or damaged.
    """
    digests = {
        name: read_text(data, "sha256")
        for name, data in find_datasets(file).items()
        if not name.startswith(VOCABULARY_PREFIX)
    }
    digests["metadata"] = read_text(file, "metadata_sha256")
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _check_signature(path: Path, kind: FileKind) -> None:
    """Raise CacheError if a path is not a file that begins with the signature of HDF5."""
    no_file = NO_FILE.format(kind.commands)
    if path.is_dir():
        raise CacheError(f"{path}: expected a {kind.noun}, found {_describe_folder(path)}")
    if path.suffix in (".partial", ".journal"):
        raise CacheError(f"{path}: {describe_unfinished(path.with_suffix('')) or no_file}")
    try:
        with open(path, "rb") as file:
            found = file.read(len(SIGNATURE))
    except FileNotFoundError as error:
        raise CacheError(f"{path}: {describe_unfinished(path) or no_file}") from error
    except OSError as error:
        raise CacheError(f"{path}: cannot be read: {error.strerror}") from error
    if found != SIGNATURE:
        other = f"a file that begins with {found!r}" if found else "an empty file"
        raise CacheError(f"{path}: expected an HDF5 file, found {other}")


def _describe_folder(path: Path) -> str:
    """Return the kind of a folder, and the command that shows it if it is a run or a grid."""
    if not (is_run(path) or is_result(path / RESULT)):
        return "a folder"
    kind = "run" if is_run(path) else "grid"
    return f"a {kind} folder; show it with: {program_name()} show {shlex.quote(str(path))}"


def _check_format(path: Path, file: h5py.File, kind: FileKind) -> None:
    found = _read_attribute(file, "format")
    if not _is_format(found, kind):
        raise CacheError(
            f"{path}: expected the root attribute format = {kind.format}, found {_as_text(found)}; "
            f"this HDF5 file is not a {kind.noun}: write one with {kind.commands}"
        )
    version = _read_attribute(file, "version")
    if not isinstance(version, np.integer) or version < 1:
        raise FieldError("version", "a positive integer", _as_text(version))
    if version > kind.version:
        raise CacheError(
            f"{path}: expected format version {kind.version}, found {version}; install a newer "
            "clip-cfr"
        )


def _read_attribute(owner: h5py.File | h5py.Dataset, name: str) -> Any:
    """Return the value of an attribute, or None if it is missing."""
    with detect_damage(_attribute_name(owner, name)):
        # `get` would report a damaged attribute as missing.
        return owner.attrs[name] if name in owner.attrs else None  # noqa: SIM401


def _attribute_name(owner: h5py.File | h5py.Dataset, name: str) -> str:
    return f"root attribute {name}" if owner.name == "/" else f"{owner.name[1:]}, {name}"


def _as_text(value: Any) -> str:
    return "none" if value is None else repr(value)
