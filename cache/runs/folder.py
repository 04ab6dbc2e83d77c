"""Read and write a run folder as bytes by file name, replaced as a whole and checked on reading."""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from clip_cfr.cache.errors import CacheError, FieldError
from clip_cfr.cache.files.atomic import (
    find_temporaries,
    make_write_error,
    sync_folder,
    temporary_path,
    write_and_sync,
    write_lock,
)
from clip_cfr.cache.files.output import check_folder, check_is_no_input, find_status, resolve_output
from clip_cfr.cache.runs.encoding import json_bytes, parse_json

FORMAT = "clip-cfr-run"
VERSION = 2
# Lists the other files with their SHA-256; a folder without it is not a run folder.
INDEX = "run.json"
# Endings of the files of a run, of every version.
SUFFIXES = (".json", ".csv", ".csv.gz", ".npz")

logger = logging.getLogger(__name__)


@contextmanager
def reserve_run_folder(
    directory: Path, overwrite: bool, inputs: Iterable[Path | None] = ()
) -> Iterator[Path]:
    """Hold the lock of a run folder within the block, after checking that it may be written.

    Missing parent folders are created, but not the folder itself. Only an empty folder, or a run
    folder without foreign files, is ever replaced. Leftovers of a killed process are removed, and a
    run that it left under a hidden name is renamed back; both are logged as warnings.

    Args:
        directory: the run folder. If it is a symbolic link, its target is written.
        overwrite: whether to replace a run.
        inputs: files and folders that the same command reads; None and missing ones are skipped.

    Yields:
        The folder to write: `directory`, or the target of the link.

    Raises:
        OutputError: the folder is one of the inputs.
        CacheError: the folder holds something else, or a run and `overwrite` is false; or it
            cannot be written, or another process writes it.
    """
    check_is_no_input(directory, inputs)
    target = resolve_output(directory)
    check_contents(target)
    check_writable(target)
    try:
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise make_write_error(target, error) from error
    check_folder(target)
    with write_lock(target):
        restore_after_kill(target)
        check_replaceable(target, overwrite)
        yield target


def check_run_directory(directory: Path, overwrite: bool) -> None:
    """Raise the errors of `reserve_run_folder` before anything is trained.

    The lock is released at once. Missing parent folders are created, but not the folder itself.
    """
    with reserve_run_folder(directory, overwrite):
        pass


def check_replaceable(directory: Path, overwrite: bool) -> None:
    """Check that a folder is missing or empty, or holds a run that may be replaced.

    Raises:
        CacheError: `check_contents` fails, or the folder is a run and `overwrite` is false.
    """
    check_contents(directory)
    if is_run(directory) and not overwrite:
        raise CacheError(
            f"{directory}: the run exists; replace it with --overwrite or name another"
        )


def check_contents(directory: Path) -> None:
    """Raise CacheError unless a path is missing, an empty folder, or a run without other files.

    The current folder and a mount point are refused, too: they cannot be replaced.
    """
    if find_status(directory) is None:
        return
    is_empty = directory.is_dir() and not any(directory.iterdir())
    if not is_empty and not is_run(directory):
        raise CacheError(f"{directory}: exists and is not a run folder; name another one")
    foreign = foreign_files(directory)
    if foreign:
        raise CacheError(
            f"{directory}: the run folder holds {foreign[0]}, which is not part of the run; move "
            "it away or name another folder"
        )
    # Such a folder cannot be renamed, or is the working directory of a shell.
    if directory.samefile(Path.cwd()) or directory.is_mount():
        kind = "the current folder" if directory.samefile(Path.cwd()) else "a mount point"
        raise CacheError(f"{directory}: is {kind}, which cannot be replaced; name a folder in it")


def check_writable(directory: Path) -> None:
    """Raise CacheError if the nearest existing parent is no folder, or may not be written.

    Nothing is created.
    """
    place = next((each for each in directory.absolute().parents if each.exists()), directory)
    if not place.is_dir():
        raise CacheError(f"{directory}: expected {place} to be a folder; name another one")
    if not os.access(place, os.W_OK | os.X_OK):
        raise CacheError(f"{directory}: the folder {place} cannot be written; name another one")


def is_run(directory: Path) -> bool:
    """Return whether `run.json` in a folder names the format of a run, of any version.

    False if the folder or the file is missing or cannot be read; other files are not checked.
    """
    try:
        return parse_json(INDEX, (directory / INDEX).read_bytes()).get("format") == FORMAT
    except (OSError, FieldError):
        return False


def foreign_files(directory: Path) -> list[str]:
    """Return the files, folders and symbolic links in a folder that are not part of its run.

    Returns:
        Sorted paths relative to `directory`, also within subfolders; all entries if it is no run.
    """
    listed = _listed_files(directory)
    folders = {Path(name).parent.as_posix() for name in listed}
    found = {each.relative_to(directory).as_posix(): each for each in directory.rglob("*")}
    return sorted(
        name
        for name, path in found.items()
        if path.is_symlink() or name not in (folders if path.is_dir() else listed)
    )


def _listed_files(directory: Path) -> set[str]:
    """Return the file names in the index of a run; empty if the folder is not a run."""
    if not is_run(directory):
        return set()
    listed = parse_json(INDEX, (directory / INDEX).read_bytes()).get("sha256")
    names = listed if isinstance(listed, dict) else ()
    return {INDEX, *(name for name in names if name.endswith(SUFFIXES))}


def restore_after_kill(directory: Path) -> None:
    """Remove the leftovers of a killed writer beside a folder, and rename an older run back.

    The older run is renamed back only if the folder is missing. Hidden folders with foreign files
    stay. Each change is logged as a warning. The caller holds the lock of the folder.
    """
    for left in find_temporaries(directory, "old"):
        if is_run(left) and find_status(directory) is None:
            left.rename(directory)
            logger.warning(
                "%s: restored the run that a killed process left as %s", directory, left.name
            )
    older = [each for each in find_temporaries(directory, "old") if not foreign_files(each)]
    unfinished = [each for each in find_temporaries(directory) if _is_unfinished(each)]
    for left in (*older, *unfinished):
        shutil.rmtree(left, ignore_errors=True)
        logger.warning("%s: removed %s, left by a killed process", directory, left.name)


def _is_unfinished(directory: Path) -> bool:
    """Return whether a folder holds only files that a run may have."""
    if directory.is_symlink() or not directory.is_dir():
        return False
    return all(
        not path.is_symlink() and (path.is_dir() or path.name.endswith(SUFFIXES))
        for path in directory.rglob("*")
    )


def write_folder(directory: Path, files: Mapping[str, bytes], overwrite: bool) -> None:
    """Write files and their index into a temporary folder, and rename it to `directory`.

    The caller has reserved the folder.

    Args:
        directory: the run folder; an older run in it is removed as a whole.
        files: the bytes of each file by relative name, such as `heads/erm-seed0.npz`.
        overwrite: whether an older run may be replaced.

    Raises:
        CacheError: the folder may not be replaced (`check_replaceable`), for example because
            another program has written to it in the meantime.
        OSError: writing failed; the temporary folder is removed, and the older run kept.
    """
    temporary = temporary_path(directory)
    try:
        for name, data in (files | {INDEX: index_bytes(files)}).items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            write_and_sync(temporary / name, data)
        check_replaceable(directory, overwrite)
        _swap(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, directory: Path) -> None:
    """Rename a folder to its final name, and remove the older one of this name.

    This is not atomic: after a kill in between, `restore_after_kill` repairs the folders.
    """
    old = temporary.with_suffix(".old")
    if directory.exists():
        directory.rename(old)
    try:
        temporary.rename(directory)
    except OSError:
        if old.exists():
            old.rename(directory)
        raise
    sync_folder(directory.parent)
    shutil.rmtree(old, ignore_errors=True)


def read_folder(directory: Path) -> dict[str, bytes]:
    """Return the bytes of the files that the index names, by name, after checking their SHA-256.

    Raises:
        CacheError: the folder is missing, not a run, or of another version.
        FieldError: a file or the index is missing or damaged.
    """
    if not (directory / INDEX).is_file():
        raise CacheError(
            f"{directory}: expected a run folder, found no {INDEX}; name a folder that calibrate "
            "wrote"
        )
    index = parse_json(INDEX, read_file(directory, INDEX))
    if index.get("format") != FORMAT:
        raise CacheError(
            f"{directory}: expected a run folder, found {INDEX} of another program; name a folder "
            "that calibrate wrote"
        )
    if index.get("version") != VERSION:
        older = index.get("version") == 1
        remedy = "calibrate again with --overwrite" if older else "install a newer clip-cfr"
        raise CacheError(
            f"{directory}: expected {FORMAT} of version {VERSION}, found {FORMAT} of version "
            f"{index.get('version')}; {remedy}"
        )
    return {
        name: read_checked(directory, name, digest)
        for name, digest in index.get("sha256", {}).items()
    }


def index_bytes(files: Mapping[str, bytes]) -> bytes:
    """Return the contents of `run.json`: format, version, and the SHA-256 of each file by name."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return json_bytes(INDEX, {"format": FORMAT, "version": VERSION, "sha256": digests})


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
