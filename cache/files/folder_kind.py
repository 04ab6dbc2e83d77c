"""Kinds of folders that hold an index of their files with SHA-256, and how they are read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip_cfr.cache.errors import CacheError, FieldError
from clip_cfr.cache.runs.encoding import json_bytes, parse_json


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder whose index names its other files.

    Attributes:
        noun: its name in messages, such as `run`.
        article: the article of the noun.
        format: value of `format` in the index.
        version: value of `version` in the index.
        index: name of the index file; a folder without it is not of this kind.
        suffixes: endings of the files that such a folder may hold, in every version.
        temporary: beginning of the names of files that a library leaves there if it is killed;
            empty for none.
    """

    noun: str
    article: str
    format: str
    version: int
    index: str
    suffixes: tuple[str, ...]
    temporary: str = ""


def is_of_kind(kind: FolderKind, directory: Path) -> bool:
    """Return whether the index in a folder names the format of this kind, of any version.

    False if the folder or the file is missing or cannot be read; other files are not checked.
    """
    try:
        return _read_index(kind, directory).get("format") == kind.format
    except (OSError, FieldError):
        return False


def foreign_files(kind: FolderKind, directory: Path) -> list[str]:
    """Return the files, folders and symbolic links in a folder that its index does not name.

    Returns:
        Sorted paths relative to `directory`, also within subfolders; all entries if it is not of
        this kind.
    """
    listed = _listed_files(kind, directory)
    folders = {Path(name).parent.as_posix() for name in listed}
    found = {each.relative_to(directory).as_posix(): each for each in directory.rglob("*")}
    return sorted(
        name
        for name, path in found.items()
        if path.is_symlink() or name not in (folders if path.is_dir() else listed)
    )


def _read_index(kind: FolderKind, directory: Path) -> dict[str, Any]:
    return parse_json(kind.index, (directory / kind.index).read_bytes())


def _listed_files(kind: FolderKind, directory: Path) -> set[str]:
    """Return the file names in the index of a folder; empty if it is not of this kind."""
    if not is_of_kind(kind, directory):
        return set()
    listed = _read_index(kind, directory).get("sha256")
    names = listed if isinstance(listed, dict) else ()
    return {kind.index, *(name for name in names if name.endswith(kind.suffixes))}


def index_bytes(kind: FolderKind, digests: Mapping[str, str]) -> bytes:
    """Return the contents of the index: format, version, and the SHA-256 of each file by name."""
    index = {"format": kind.format, "version": kind.version, "sha256": dict(digests)}
    return json_bytes(kind.index, index)


def read_folder(kind: FolderKind, directory: Path, writer: str) -> dict[str, bytes]:
    """Return the bytes of the files that the index names, by name, after checking their SHA-256.

    Args:
        kind: the kind of the folder.
        directory: the folder.
        writer: the command that writes such folders, for messages.

    Raises:
        CacheError: the folder is not of this kind, or of another version.
        FieldError: a file or the index is missing or damaged.
    """
    index = parse_json(kind.index, read_file(directory, kind.index))
    if index.get("format") != kind.format:
        raise CacheError(
            f"{directory}: expected {kind.article} {kind.noun} folder, found {kind.index} of "
            f"another program; name a folder that {writer} wrote"
        )
    if index.get("version") != kind.version:
        older = index.get("version") == 1
        remedy = f"{writer} again with --overwrite" if older else "install a newer clip-cfr"
        raise CacheError(
            f"{directory}: expected {kind.format} of version {kind.version}, found {kind.format} "
            f"of version {index.get('version')}; {remedy}"
        )
    return {
        name: read_checked(directory, name, digest)
        for name, digest in index.get("sha256", {}).items()
    }


def read_checked(directory: Path, name: str, digest: str) -> bytes:
    """Return the bytes of a file, after checking their SHA-256.

    Raises:
        FieldError: the file cannot be read, or its SHA-256 is not `digest` (hex).
    """
    data = read_file(directory, name)
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise FieldError(name, f"SHA-256 {digest}", found)
    return data


def read_file(directory: Path, name: str) -> bytes:
    """Return the bytes of a file of the folder; raise FieldError if it cannot be read."""
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        raise FieldError(name, "a file that can be read", error.strerror) from error
