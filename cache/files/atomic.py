"""Atomic file replacement, write locks, and errors for writes that fail."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from clip_cfr.cache.errors import CacheError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def add_suffix(path: Path, suffix: str) -> Path:
    """Return the path with a suffix appended: `a.h5` and `.lock` give `a.h5.lock`."""
    return path.with_name(f"{path.name}{suffix}")


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `PATH.lock`, so that only one process at a time writes `path`.

    Raises:
        CacheError: another process holds the lock, or the lock file cannot be created.
    """
    if not path.parent.is_dir():
        raise CacheError(f"{path}: the folder {path.parent} does not exist; create it first")
    lock_path = add_suffix(path, ".lock")
    lock = FileLock(lock_path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise CacheError(
            f"{path}: another process is writing this file; wait until it ends, or write another "
            f"file (lock: {lock_path.name})"
        ) from error
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield
    finally:
        # Remove the file while the lock is held. A process that has opened the removed file takes
        # no lock on it: filelock checks the file's link count.
        lock_path.unlink(missing_ok=True)
        lock.release()


def check_overwrite(path: Path, overwrite: bool) -> None:
    """Raise CacheError if `path` is a folder, or a file and `overwrite` is false."""
    if path.is_dir():
        raise CacheError(f"{path}: expected the name of a file, found a folder")
    if path.exists() and not overwrite:
        raise CacheError(f"{path}: the file exists; replace it with --overwrite or name another")


def replace_file(temporary: Path, path: Path) -> None:
    """Rename a file that is synced to the disk, and sync the folder."""
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_and_sync(path: Path, data: bytes) -> None:
    """Write a file, and wait until its contents are on the disk."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the file names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_error(path: Path, error: OSError, needed: str = "", kept: str = "") -> CacheError:
    """Return the error to raise for a failed write.

    Args:
        path: the file or folder that was to be written.
        error: what the operating system reported.
        needed: how much disk space the job takes; shown if the disk is full.
        kept: what is saved and will not be lost.
    """
    if error.errno in DISK_FULL:
        parts = [f"cannot be written: {error.strerror}", kept, needed]
        remedy = "make room and run the same command again"
    else:
        parts = [f"cannot be written: {error.strerror or error}", kept]
        remedy = "check the folder, or write another file"
    return CacheError(f"{path}: " + "; ".join([part for part in parts if part] + [remedy]))
