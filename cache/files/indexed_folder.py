"""Write a folder of files with an index of their SHA-256, replaced as a whole."""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.atomic import (
    find_temporaries,
    make_write_error,
    sync_folder,
    temporary_path,
    write_and_sync,
    write_lock,
)
from clip_cfr.cache.files.folder_kind import FolderKind, foreign_files, index_bytes, is_of_kind
from clip_cfr.cache.files.output import check_folder, check_is_no_input, find_status, resolve_output

logger = logging.getLogger(__name__)


@contextmanager
def reserve_folder(
    kind: FolderKind, directory: Path, overwrite: bool, inputs: Iterable[Path | None] = ()
) -> Iterator[Path]:
    """Hold the lock of a folder within the block, after checking that it may be written.

    Missing parent folders are created, but not the folder itself, and removed again if the block
    raises and they are empty. Only an empty folder, or one of this kind without foreign files, is
    ever replaced. Leftovers of a killed process are removed, and a folder that it left under a
    hidden name is renamed back; both are logged as warnings.

    Args:
        kind: the kind of the folder.
        directory: the folder. If it is a symbolic link, its target is written.
        overwrite: whether to replace an older folder of this kind.
        inputs: files and folders that the same command reads; None and missing ones are skipped.

    Yields:
        The folder to write: `directory`, or the target of the link.

    Raises:
        OutputError: the folder is one of the inputs.
        CacheError: the folder holds something else, or is of this kind and `overwrite` is false;
            or it cannot be written, or another process writes it.
    """
    check_is_no_input(directory, inputs)
    target = resolve_output(directory)
    check_contents(kind, target)
    check_writable(target)
    with make_parents(target):
        check_folder(target)
        with write_lock(target):
            restore_after_kill(kind, target)
            check_replaceable(kind, target, overwrite)
            yield target


@contextmanager
def make_parents(path: Path) -> Iterator[None]:
    """Create the missing parent folders of a path; remove empty ones if the block raises.

    Raises:
        CacheError: they cannot be created.
    """
    missing = [each for each in path.absolute().parents if not each.exists()]
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise make_write_error(path, error) from error
    try:
        yield
    except BaseException:  # Ctrl-C too.
        with suppress(OSError):  # Something else has been written there.
            for each in missing:
                each.rmdir()
        raise


def check_replaceable(kind: FolderKind, directory: Path, overwrite: bool) -> None:
    """Check that a folder is missing or empty, or one of this kind that may be replaced.

    Raises:
        CacheError: `check_contents` fails, or the folder is of this kind and `overwrite` is false.
    """
    check_contents(kind, directory)
    if is_of_kind(kind, directory) and not overwrite:
        raise CacheError(
            f"{directory}: the {kind.noun} exists; replace it with --overwrite or name another"
        )


def check_contents(kind: FolderKind, directory: Path) -> None:
    """Raise CacheError unless a path is missing, an empty folder, or of this kind without others.

    The current folder and a mount point are refused, too: they cannot be replaced.
    """
    if find_status(directory) is None:
        return
    is_empty = directory.is_dir() and not any(directory.iterdir())
    if not is_empty and not is_of_kind(kind, directory):
        raise CacheError(
            f"{directory}: exists and is not {kind.article} {kind.noun} folder; name another one"
        )
    foreign = foreign_files(kind, directory)
    if foreign:
        raise CacheError(
            f"{directory}: the {kind.noun} folder holds {foreign[0]}, which is not part of the "
            f"{kind.noun}; move it away or name another folder"
        )
    # Such a folder cannot be renamed, or is the working directory of a shell.
    if directory.samefile(Path.cwd()) or directory.is_mount():
        place = "the current folder" if directory.samefile(Path.cwd()) else "a mount point"
        raise CacheError(f"{directory}: is {place}, which cannot be replaced; name a folder in it")


def check_writable(directory: Path) -> None:
    """Raise CacheError if the nearest existing parent is no folder, or may not be written.

    Nothing is created.
    """
    place = next((each for each in directory.absolute().parents if each.exists()), directory)
    if not place.is_dir():
        raise CacheError(f"{directory}: expected {place} to be a folder; name another one")
    if not os.access(place, os.W_OK | os.X_OK):
        raise CacheError(f"{directory}: the folder {place} cannot be written; name another one")


def restore_after_kill(kind: FolderKind, directory: Path) -> None:
    """Remove the leftovers of a killed writer beside a folder, and rename an older folder back.

    The older folder is renamed back only if the folder is missing. Hidden folders with foreign
    files stay. Each change is logged as a warning. The caller holds the lock of the folder.
    """
    for left in find_temporaries(directory, "old"):
        if is_of_kind(kind, left) and find_status(directory) is None:
            left.rename(directory)
            logger.warning(
                "%s: restored the %s that a killed process left as %s",
                directory,
                kind.noun,
                left.name,
            )
    older = [each for each in find_temporaries(directory, "old") if not foreign_files(kind, each)]
    unfinished = [each for each in find_temporaries(directory) if _is_unfinished(kind, each)]
    for left in (*older, *unfinished):
        shutil.rmtree(left, ignore_errors=True)
        logger.warning("%s: removed %s, left by a killed process", directory, left.name)


def _may_be_left(kind: FolderKind, name: str) -> bool:
    is_temporary = bool(kind.temporary) and name.startswith(kind.temporary)
    return is_temporary or name.endswith(kind.suffixes)


def _is_unfinished(kind: FolderKind, directory: Path) -> bool:
    """Return whether a folder holds only files that one of this kind may have."""
    if directory.is_symlink() or not directory.is_dir():
        return False
    return all(
        not path.is_symlink() and (path.is_dir() or _may_be_left(kind, path.name))
        for path in directory.rglob("*")
    )


@contextmanager
def replace_folder(
    kind: FolderKind, directory: Path, overwrite: bool, names: Iterable[str] | None = None
) -> Iterator[Path]:
    """Rename the temporary folder that the block fills to `directory`, with an index of its files.

    The caller has reserved the folder. If the block raises, the temporary folder is removed and an
    older folder is kept.

    Args:
        kind: the kind of the folder.
        directory: the folder; an older one of this kind in it is removed as a whole.
        overwrite: whether an older folder may be replaced.
        names: the files that the block writes, in the order of the index; by default all, sorted.

    Yields:
        The temporary folder, empty, beside `directory`.

    Raises:
        CacheError: the folder may not be replaced (`check_replaceable`), for example because
            another program has written to it in the meantime.
        OSError: writing failed; the temporary folder is removed, and the older folder kept.
    """
    temporary = temporary_path(directory)
    try:
        temporary.mkdir()
        yield temporary
        digests = {
            name: sync_and_digest(temporary / name) for name in names or list_files(temporary)
        }
        write_and_sync(temporary / kind.index, index_bytes(kind, digests))
        check_replaceable(kind, directory, overwrite)
        _swap(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def list_files(directory: Path) -> list[str]:
    """Return the sorted paths of all files below a folder, relative to it."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return sorted(path.relative_to(directory).as_posix() for path in found)


def sync_and_digest(path: Path) -> str:
    """Sync a file to the disk, and return the SHA-256 of its bytes (hex)."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


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
