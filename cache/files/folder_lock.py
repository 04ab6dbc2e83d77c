"""Locks on folders, which leave no file behind: shared by those that use one, or exclusive."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clip_cfr.cache.errors import CacheError

try:
    import fcntl
except ModuleNotFoundError:  # On Windows, where folders cannot be opened.
    fcntl = None


@contextmanager
def use_folder(directory: Path) -> Iterator[None]:
    """Hold a shared lock of an existing folder in the block.

    Waits while another process holds the exclusive lock (`reserve_folder`). On a file system
    without such locks, and on Windows, the block runs without one.
    """
    with _open_folder(directory) as descriptor:
        if descriptor is not None:
            _lock(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def reserve_folder(directory: Path, in_use: str) -> Iterator[None]:
    """Hold the exclusive lock of a folder in the block; do not wait for other locks to end.

    On a file system without such locks, and on Windows, the block runs without one.

    Args:
        directory: an existing folder.
        in_use: the text after the path in the message of the error.

    Raises:
        CacheError: another process holds a shared or exclusive lock of the folder.
    """
    with _open_folder(directory) as descriptor:
        if descriptor is not None and not _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            raise CacheError(f"{directory}: {in_use}")
        yield


@contextmanager
def _open_folder(directory: Path) -> Iterator[int | None]:
    """Yield a descriptor of a folder; None on systems without locks of folders."""
    if fcntl is None:
        yield None
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, operation: int) -> bool:
    """Lock a folder; return whether no other process has a lock that excludes this one."""
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        return False
    except OSError:  # The file system has no such locks.
        return True
    return True
