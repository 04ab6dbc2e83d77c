"""A run folder as files by name: written whole or not at all, checked when it is read."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from clip_cfr.cache.errors import CacheError, FieldError
from clip_cfr.cache.files.atomic import sync_folder, write_synced
from clip_cfr.cache.runs.encoding import json_bytes, parse_json

FORMAT = "clip-cfr-run"
VERSION = 1
# Names the other files with their digests; a folder without it is no run.
INDEX = "run.json"


def refuse_finished_run(directory: Path, overwrite: bool) -> None:
    """Checks that a run may be written there: only a run is ever replaced, and only if asked.

    Raises:
        CacheError: the folder exists and is no run, or is one and `overwrite` is false; or nothing
            may be written there.
    """
    refuse_unwritable(directory)
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    if not (directory / INDEX).is_file():
        raise CacheError(f"{directory}: exists and is no run folder; name another one")
    if not overwrite:
        raise CacheError(
            f"{directory}: the run exists; replace it with --overwrite or name another"
        )


def refuse_unwritable(directory: Path) -> None:
    """Raises where the folder cannot be made: better said before hours of training than after."""
    place = next((each for each in directory.absolute().parents if each.exists()), directory)
    if not place.is_dir():
        raise CacheError(f"{directory}: expected {place} to be a folder; name another one")
    if not os.access(place, os.W_OK | os.X_OK):
        raise CacheError(f"{directory}: nothing may be written in {place}; name another one")


def write_folder(directory: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files into a folder beside the final one, which then takes its name.

    Raises:
        OSError: nothing is left of the new folder, and the older one stands.
    """
    mark = uuid4().hex[:8]
    temporary, old = (
        directory.parent / f".{directory.name}.{mark}.{end}" for end in ("tmp", "old")
    )
    try:
        for name, data in (files | {INDEX: _index(files)}).items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            write_synced(temporary / name, data)
        # No call swaps two folders: a kill between these two leaves the older run as `.old`.
        if directory.exists():
            directory.rename(old)
        temporary.rename(directory)
        sync_folder(directory.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def read_folder(directory: Path) -> dict[str, bytes]:
    """The files that the index names, checked against their SHA-256.

    Raises:
        CacheError: the folder is missing, no run, or of a version that this program does not know.
        FieldError: a file is missing or damaged.
    """
    if not (directory / INDEX).is_file():
        raise CacheError(
            f"{directory}: no run folder, for it has no {INDEX}; name one of calibrate"
        )
    index = parse_json(INDEX, _read(directory, INDEX))
    found = f"{index.get('format')} of version {index.get('version')}"
    if found != f"{FORMAT} of version {VERSION}":
        expected = f"{FORMAT} of version {VERSION}"
        raise CacheError(
            f"{directory}: expected {expected}, found {found}; install a newer clip-cfr"
        )
    return {
        name: _checked(directory, name, digest) for name, digest in index.get("sha256", {}).items()
    }


def _index(files: Mapping[str, bytes]) -> bytes:
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return json_bytes(INDEX, {"format": FORMAT, "version": VERSION, "sha256": digests})


def _checked(directory: Path, name: str, digest: str) -> bytes:
    data = _read(directory, name)
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise FieldError(name, f"SHA-256 {digest}", found)
    return data


def _read(directory: Path, name: str) -> bytes:
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        raise FieldError(name, "a file that can be read", error.strerror) from error
