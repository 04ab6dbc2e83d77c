"""The files of an unfinished job, in the folder of the cache that it writes."""

import stat
from pathlib import Path

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.atomic import add_suffix
from clip_cfr.cache.files.output import describe_kind, find_status

# The start of the first line of each journal; see `Journal.to_bytes`.
JOURNAL_START = b'{"format": "clip-cfr-journal", '


def partial_path(path: Path) -> Path:
    """Return `PATH.partial`, the file with the saved features of the job that writes `path`."""
    return add_suffix(path, ".partial")


def journal_path(path: Path) -> Path:
    """Return `PATH.journal`, the journal of the job that writes the cache `path`."""
    return add_suffix(path, ".journal")


def has_journal(path: Path) -> bool:
    """Return whether a journal, of any version, is beside the cache `path`.

    Only the first bytes are read. False if there is no file, or one of another format.

    Raises:
        CacheError: the journal's path is not a regular file, or cannot be looked up.
    """
    try:
        with open(_check_regular_file(journal_path(path)), "rb") as file:
            return file.read(len(JOURNAL_START)) == JOURNAL_START
    except FileNotFoundError:
        return False


def check_job_files(path: Path) -> None:
    """Check that no file of another program has the name of one of the job's files.

    The file of features has no header, so it is recognized by the journal beside it.

    Raises:
        CacheError: a file of another program, or anything but a regular file, has such a name; the
            message names it.
    """
    known = has_journal(path)
    if not known and find_status(journal_path(path), follow_symlinks=False) is not None:
        raise CacheError(
            _describe_foreign(journal_path(path), path, "the journal of an unfinished job")
        )
    features = find_status(_check_regular_file(partial_path(path)), follow_symlinks=False)
    if not known and features is not None and features.st_size:
        expected = f"the rows of an unfinished job, with {journal_path(path).name} beside them"
        raise CacheError(_describe_foreign(partial_path(path), path, expected))


def remove_job_files(path: Path) -> None:
    """Remove the files of the job that writes `path`; missing ones are ignored.

    Call `check_job_files` before: the contents of the files are not checked here.
    """
    # Remove the features first: without a journal they would not be recognized.
    partial_path(path).unlink(missing_ok=True)
    journal_path(path).unlink(missing_ok=True)


def _check_regular_file(path: Path) -> Path:
    """Return the path. Raise CacheError if it exists and is not a regular file."""
    status = find_status(path, follow_symlinks=False)
    if status is not None and not stat.S_ISREG(status.st_mode):
        link = stat.S_ISLNK(status.st_mode)
        raise CacheError(
            f"{path}: expected a regular file or none, found "
            f"{'a symbolic link' if link else describe_kind(status)}; move it away, or name "
            "another output"
        )
    return path


def _describe_foreign(path: Path, cache: Path, expected: str) -> str:
    """Return the message about a file that no job has written."""
    return (
        f"{path}: expected {expected}, found another file; move it away, because writing "
        f"{cache.name} needs this name, or name another output"
    )
