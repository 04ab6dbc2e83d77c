"""Check the path of an output, before the work whose result is written there."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from clip_cfr.cache.errors import CacheError, OutputError
from clip_cfr.cache.files.atomic import make_write_error, temporary_path

# Takes a block of the disk, so that a full disk is known before the work.
PROBE = b"\0"
# Kinds of files besides regular files and folders.
SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def resolve_output(path: Path) -> Path:
    """Return the path to write for an output: the target if it is a symbolic link.

    Writing the target keeps the link, and all names of a file share one lock. The returned path
    ends with the name of the file or folder, not with `..`; it may not exist. Any other path is
    returned unchanged.

    Raises:
        CacheError: the link leads to itself, or the path cannot be looked up.
    """
    if not is_link(path) and path.name not in ("", ".."):
        return path
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # RuntimeError before Python 3.13.
        target = path
    if is_link(target):
        raise CacheError(f"{path}: the symbolic link leads to itself; name another output")
    return target


def is_link(path: Path) -> bool:
    """Return whether a path is a symbolic link, also one without a target; false if missing."""
    found = find_status(path, follow_symlinks=False)
    return found is not None and stat.S_ISLNK(found.st_mode)


def find_status(path: Path, follow_symlinks: bool = True) -> os.stat_result | None:
    """Return the `os.stat` of a path, or None if it does not exist.

    A link without a target does not exist if symbolic links are followed.

    Raises:
        CacheError: the path cannot be looked up, for example because it is too long or has a NUL
            character.
    """
    try:
        return os.stat(path, follow_symlinks=follow_symlinks)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise make_write_error(path, error) from error
    except ValueError as error:  # A NUL character.
        raise CacheError(f"{path}: cannot be written: {error}; name another output") from error


def describe_kind(status: os.stat_result) -> str:
    """Return `a folder`, `a pipe`, `a socket`, `a device`, or `a file` for all others."""
    if stat.S_ISDIR(status.st_mode):
        return "a folder"
    return SPECIAL.get(stat.S_IFMT(status.st_mode), "a file")


def stat_regular_file(path: Path) -> os.stat_result | None:
    """Return the `os.stat` of a regular file, or None if the path does not exist.

    Symbolic links are followed.

    Raises:
        CacheError: the path is a folder, a pipe, a socket or a device, or cannot be looked up.
    """
    status = find_status(path)
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise CacheError(f"{path}: expected the name of a file, found {describe_kind(status)}")
    return status


def check_is_no_input(path: Path, inputs: Iterable[Path | None]) -> None:
    """Raise OutputError if an output is the same file or folder as an input, by any path.

    The message speaks of `--out PATH`.

    Args:
        path: the output, which may not exist.
        inputs: files and folders that the same command reads; None and missing ones are skipped.
    """
    for each in inputs:
        if each is not None and _is_same_file(path, each):
            also = "" if each == path else f", {each}"
            raise OutputError(f"--out {path} is one of the files to read{also}; name another")


def check_folder(path: Path) -> None:
    """Raise CacheError if no file can be created in the folder of an output, or it has no folder.

    A temporary file with the longest name that a writer needs is written and removed. Only this
    covers permissions, read-only, remote and full disks, and the maximum length of a file name.
    """
    if not path.parent.is_dir():
        raise CacheError(f"{path}: the folder {path.parent} does not exist; create it first")
    probe = temporary_path(path)
    try:
        with probe.open("xb") as file:
            file.write(PROBE)
    except OSError as error:
        raise make_write_error(path, error) from error
    finally:
        with suppress(OSError):  # As when the name is too long.
            probe.unlink()


def _is_same_file(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False
