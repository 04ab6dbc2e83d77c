"""Putting a finished file at its name: one writer at a time, whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from clip_cfr.cache.errors import CacheError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def beside(path: Path, ending: str) -> Path:
    """The path with one more ending: `a.h5` and `lock` give `a.h5.lock`."""
    return path.with_name(f"{path.name}.{ending}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A block that only one process at a time is in, for each path.

    Raises:
        CacheError: at once, where another writer is in it.
    """
    if not path.parent.is_dir():
        raise CacheError(f"{path}: the folder {path.parent} does not exist; make it first")
    name = beside(path, "lock")
    lock = FileLock(name, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        message = "another process is writing this file; wait until it ends or write another file"
        raise CacheError(f"{path}: {message} (its lock is {name.name})") from error
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield
    finally:
        # Removed while it is held: who waits on the removed file is told by its link count,
        # which filelock looks at, that this is no longer the lock.
        name.unlink(missing_ok=True)
        lock.release()


def refuse_finished(path: Path, overwrite: bool) -> None:
    """Raises where a finished file would be replaced unasked."""
    if path.is_dir():
        raise CacheError(f"{path}: expected the name of a file, found a folder")
    if path.exists() and not overwrite:
        raise CacheError(f"{path}: the file exists; replace it with --overwrite or name another")


def move_into_place(temporary: Path, path: Path) -> None:
    """Renames a file whose bytes are on the disk already, and waits until the name is as well."""
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """Writes a file and waits until its bytes are on the disk."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError, needed: str = "", safe: str = "") -> CacheError:
    """The error to raise for a failed write.

    `needed` says how much room the job takes and `safe` what is kept for a second attempt.
    """
    if error.errno in DISK_FULL:
        parts = [f"cannot be written: {error.strerror}", safe, needed]
        remedy = "make room and run the same command again"
    else:
        parts = [f"cannot be written: {error.strerror or error}", safe]
        remedy = "check the folder, or write another file"
    return CacheError(f"{path}: " + "; ".join([part for part in parts if part] + [remedy]))
