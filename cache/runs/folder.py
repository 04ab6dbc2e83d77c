"""A run folder as files by name: replaced as a whole, checked when it is read."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from clip_cfr.cache.errors import CacheError, FieldError
from clip_cfr.cache.files.atomic import sync_folder, write_and_sync
from clip_cfr.cache.runs.encoding import json_bytes, parse_json

FORMAT = "clip-cfr-run"
VERSION = 2
# Names the other files with their SHA-256; a folder without it is no run.
INDEX = "run.json"


def check_run_directory(directory: Path, overwrite: bool) -> None:
    """Check that a run may be written to a folder, before anything is trained.

    Only a run folder without foreign files is ever replaced. An older run that a kill left under
    a temporary name gets its name back.

    Raises:
        CacheError: the folder holds something else, or a run and `overwrite` is false; or it
            cannot be written.
    """
    check_writable(directory)
    restore(directory)
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    if not is_run(directory):
        raise CacheError(f"{directory}: exists and is no run folder; name another one")
    foreign = foreign_files(directory)
    if foreign:
        raise CacheError(
            f"{directory}: the run folder holds {foreign[0]}, which is not part of the run; move "
            "it away or name another folder"
        )
    if not overwrite:
        raise CacheError(
            f"{directory}: the run exists; replace it with --overwrite or name another"
        )


def check_writable(directory: Path) -> None:
    """Raise CacheError if the folder cannot be made."""
    place = next((each for each in directory.absolute().parents if each.exists()), directory)
    if not place.is_dir():
        raise CacheError(f"{directory}: expected {place} to be a folder; name another one")
    if not os.access(place, os.W_OK | os.X_OK):
        raise CacheError(f"{directory}: the folder {place} cannot be written; name another one")


def is_run(directory: Path) -> bool:
    """Whether a folder holds a run of this program, of any version."""
    try:
        return parse_json(INDEX, (directory / INDEX).read_bytes()).get("format") == FORMAT
    except (OSError, FieldError):
        return False


def foreign_files(directory: Path) -> list[str]:
    """Return the files of a run folder that its index does not name."""
    listed = parse_json(INDEX, (directory / INDEX).read_bytes()).get("sha256", {})
    found = (path.relative_to(directory).as_posix() for path in directory.rglob("*"))
    folders = {Path(name).parent.as_posix() for name in listed}
    return sorted(name for name in found if name not in {INDEX, *listed, *folders})


def temporary_names(directory: Path) -> tuple[Path, Path]:
    """Return names beside a folder for the new run and for the run that it replaces."""
    mark = uuid4().hex[:8]
    return tuple(directory.parent / f".{directory.name}.{mark}.{end}" for end in ("tmp", "old"))


def restore(directory: Path) -> None:
    """Remove what a killed writer left beside a folder, and give an older run its name back."""
    if not directory.parent.is_dir():
        return
    for left in sorted(directory.parent.glob(f".{glob_escape(directory.name)}.????????.old")):
        if directory.exists():
            shutil.rmtree(left, ignore_errors=True)
        elif is_run(left):
            left.rename(directory)
    for left in directory.parent.glob(f".{glob_escape(directory.name)}.????????.tmp"):
        shutil.rmtree(left, ignore_errors=True)


def glob_escape(name: str) -> str:
    """Return a pattern that matches a file name alone."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)


def write_folder(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a temporary folder, which then takes the final name.

    Raises:
        OSError: the new folder is removed, and the older one stays.
    """
    temporary, old = temporary_names(directory)
    try:
        for name, data in (files | {INDEX: index_bytes(files)}).items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            write_and_sync(temporary / name, data)
        # No call swaps two folders; `restore` mends what a kill between these two leaves.
        if directory.exists():
            directory.rename(old)
        temporary.rename(directory)
        sync_folder(directory.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def read_folder(directory: Path) -> dict[str, bytes]:
    """Read the files that the index names, and check their SHA-256.

    Raises:
        CacheError: the folder is missing, no run, or of another version.
        FieldError: a file is missing or damaged.
    """
    if not (directory / INDEX).is_file():
        raise CacheError(
            f"{directory}: expected a run folder, found no {INDEX}; name a folder that calibrate "
            "wrote"
        )
    index = parse_json(INDEX, read_file(directory, INDEX))
    found, expected = index.get("format"), f"{FORMAT} of version {VERSION}"
    if found != FORMAT or index.get("version") != VERSION:
        older = found == FORMAT and index.get("version") == 1
        remedy = "calibrate again with --overwrite" if older else "install a newer clip-cfr"
        raise CacheError(
            f"{directory}: expected {expected}, found {found} of version {index.get('version')}; "
            f"{remedy}"
        )
    return {
        name: read_checked(directory, name, digest)
        for name, digest in index.get("sha256", {}).items()
    }


def index_bytes(files: Mapping[str, bytes]) -> bytes:
    """Encode the index of the files."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return json_bytes(INDEX, {"format": FORMAT, "version": VERSION, "sha256": digests})


def read_checked(directory: Path, name: str, digest: str) -> bytes:
    """Read a file and check its SHA-256."""
    data = read_file(directory, name)
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise FieldError(name, f"SHA-256 {digest}", found)
    return data


def read_file(directory: Path, name: str) -> bytes:
    """Read a file of the folder."""
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        raise FieldError(name, "a file that can be read", error.strerror) from error
