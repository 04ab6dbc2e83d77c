"""Atomic file replacement, write locks, and errors for writes that fail."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from clip_cfr.cache.errors import CacheError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# A lock file is empty, or names the process if the file system has no flock.
LOCK_CONTENT = re.compile(rb"(\d+\n[^\n]+\n.*)?", re.DOTALL)
MAX_LOCK_BYTES = 1024


def add_suffix(path: Path, suffix: str) -> Path:
    """Return the path with a suffix appended: `a.h5` and `.lock` give `a.h5.lock`."""
    return path.with_name(f"{path.name}{suffix}")


def temporary_path(path: Path) -> Path:
    """Return a random hidden name beside a file or folder, such as `.a.h5.0123abcd.tmp`.

    Nothing is created.
    """
    return path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")


def find_temporaries(path: Path, suffix: str = "tmp") -> list[Path]:
    """Return the existing files and folders named as `temporary_path` names them, sorted by name.

    Args:
        path: the file or folder beside which they lie; it may be missing, its parent folder not.
        suffix: last part of the names, in place of `tmp`.
    """
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.{suffix}")
    return sorted(each for each in path.parent.iterdir() if name.fullmatch(each.name))


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `PATH.lock` in the block, so that only one process writes `path`.

    It does not wait for a lock that is held. The lock file is removed after the block.

    Raises:
        CacheError: another process holds the lock, the folder of `path` does not exist, the lock
            file cannot be created, or a file of another program has its name.
    """
    if not path.parent.is_dir():
        raise CacheError(f"{path}: the folder {path.parent} does not exist; create it first")
    lock_path = add_suffix(path, ".lock")
    _check_lock_file(lock_path)
    lock = FileLock(lock_path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise CacheError(
            f"{path}: another process is writing this file; wait until it ends, or write another "
            f"file (lock: {lock_path.name})"
        ) from error
    except OSError as error:
        raise make_write_error(path, error) from error
    try:
        yield
    finally:
        # Remove the file while the lock is held. A process that has opened the removed file takes
        # no lock on it: filelock checks the file's link count.
        lock_path.unlink(missing_ok=True)
        lock.release()


def _check_lock_file(path: Path) -> None:
    """Raise CacheError if a file is not a lock file, because releasing a lock removes it."""
    try:
        status = os.stat(path, follow_symlinks=False)
        is_lock = stat.S_ISREG(status.st_mode) and status.st_size <= MAX_LOCK_BYTES
        if is_lock and LOCK_CONTENT.fullmatch(path.read_bytes()):
            return
    except FileNotFoundError:
        return
    except OSError as error:
        raise make_write_error(path, error) from error
    raise CacheError(
        f"{path}: expected a lock file or none, found a file of another program; move it away, or "
        "name another output"
    )


def replace_file(temporary: Path, path: Path) -> None:
    """Rename a synced temporary file to `path`, replacing a file there, and sync the folder.

    Raises:
        OSError: the file cannot be renamed.
    """
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_and_sync(path: Path, data: bytes) -> None:
    """Write a file, replacing its contents, and sync them to the disk; raise OSError on failure."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_contents(path: Path, data: bytes, kept: str = "") -> None:
    """Write a file and sync it, replacing an earlier one atomically.

    Args:
        path: the file.
        data: its contents.
        kept: phrase about the saved data that are kept if it fails.

    Raises:
        CacheError: the file cannot be written; an earlier one is kept.
    """
    temporary = temporary_path(path)
    try:
        write_and_sync(temporary, data)
        replace_file(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise make_write_error(path, error, kept=kept) from error


def sync_folder(folder: Path) -> None:
    """Sync the entries of a folder to the disk, which makes a rename durable; may raise OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_write_error(path: Path, error: OSError, needed: str = "", kept: str = "") -> CacheError:
    """Return, without raising it, the CacheError for a failed write.

    Its message is `PATH: cannot be written: REASON; KEPT; NEEDED; REMEDY`, without empty phrases.
    The remedy is to make room if the disk or a quota is full, a shorter name if that is too long,
    otherwise to check the folder.

    Args:
        path: the file or folder that could not be written.
        error: the error of the operating system.
        needed: phrase about the disk space that the job needs; shown only if the disk is full.
        kept: phrase about the saved data that are kept.
    """
    if error.errno in DISK_FULL:
        parts = [f"cannot be written: {error.strerror}", kept, needed]
        remedy = "make room and run the same command again"
    else:
        parts = [f"cannot be written: {error.strerror or error}", kept]
        too_long = error.errno == errno.ENAMETOOLONG
        remedy = "name a shorter one" if too_long else "check the folder, or write another file"
    return CacheError(f"{path}: " + "; ".join([part for part in parts if part] + [remedy]))
