"""Reserve the path of a cache to write; an existing file is replaced only if it is a cache."""

import logging
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.atomic import find_temporaries, write_lock
from clip_cfr.cache.files.job_files import (
    JOURNAL_START,
    has_journal,
    journal_path,
    partial_path,
)
from clip_cfr.cache.files.journal import Journal, read_journal
from clip_cfr.cache.files.output import (
    check_folder,
    check_is_no_input,
    find_status,
    resolve_output,
    stat_regular_file,
)
from clip_cfr.cache.format.kinds import CACHE, FileKind
from clip_cfr.cache.read.hdf5_file import SIGNATURE, is_cache, is_of_kind

logger = logging.getLogger(__name__)
ZEROS = bytes(len(SIGNATURE))


@contextmanager
def reserve_output(
    path: Path,
    overwrite: bool = False,
    inputs: Iterable[Path | None] = (),
    kind: FileKind = CACHE,
) -> Iterator[Path]:
    """Hold the lock of the file to write within the block, after checking that it may be written.

    Nothing is written. Leftovers of a killed process are removed, and a warning is logged.

    Args:
        path: the file. If it is a symbolic link, its target is written.
        overwrite: whether to replace a finished file of this kind.
        inputs: files and folders that the same command reads; None and missing ones are skipped.
        kind: the kind of the file, by default a cache.

    Yields:
        The file to write: `path`, or the target of the link.

    Raises:
        OutputError: the file is one of the inputs.
        CacheError: the file cannot be written, another process writes it, or it exists and is of
            another kind, or is of this kind and `overwrite` is false.
    """
    check_is_no_input(path, inputs)
    target = resolve_output(path)
    stat_regular_file(target)
    check_folder(target)
    with write_lock(target):
        remove_leftovers(target)
        check_replaceable(target, overwrite, kind)
        yield target


def check_output(
    path: Path,
    overwrite: bool = False,
    inputs: Iterable[Path | None] = (),
    kind: FileKind = CACHE,
) -> None:
    """Raise the errors of `reserve_output` before the work whose result is written there.

    The lock is released at once; leftovers of a killed process are removed.
    """
    with reserve_output(path, overwrite, inputs, kind):
        pass


def check_replaceable(path: Path, overwrite: bool, kind: FileKind = CACHE) -> None:
    """Check that the path does not exist, or is a file of a kind that may be replaced.

    Raises:
        CacheError: it is of another kind, or is of this kind and `overwrite` is false. In the
            second case the message also names an unfinished job beside it.
    """
    if stat_regular_file(path) is None:
        return
    if not is_of_kind(path, kind):
        raise CacheError(
            f"{path}: the file exists and is not a {kind.noun}, so it is not replaced, not even "
            "with --overwrite; name another file"
        )
    if not overwrite:
        raise CacheError(
            f"{path}: the file exists; replace it with --overwrite or name another"
            + _suggest_resuming(path)
        )


def remove_leftovers(path: Path) -> None:
    """Remove the leftovers of a killed process beside a cache, and log a warning that names them.

    These are temporary files with the contents of a cache or journal, and the job's files of a
    finished job (`is_finished_job`). The caller holds the lock of `path`.
    """
    left = [each for each in find_temporaries(path) if _is_own_temporary(each)]
    if is_finished_job(path):
        left += [each for each in (partial_path(path), journal_path(path)) if each.exists()]
    for each in left:
        each.unlink(missing_ok=True)
    if left:
        names = ", ".join(each.name for each in left)
        logger.warning("%s: removed the leftovers of a killed process: %s", path, names)


def is_finished_job(path: Path) -> bool:
    """Return whether a job has written the cache `path`, and was killed before removing its files.

    In that case the journal has all rows, and is not newer than the cache. A damaged journal, or
    one of another version, counts as none.
    """
    journal = _read_job(path)
    if journal is None or journal.num_saved() != journal.job["num_rows"]:
        return False
    if find_status(path) is None or not is_cache(path):
        return False
    return path.stat().st_mtime_ns >= journal_path(path).stat().st_mtime_ns


def _read_job(path: Path) -> Journal | None:
    """Return the journal beside a cache; None if there is none, or it cannot be resumed."""
    try:
        return read_journal(journal_path(path)) if has_journal(path) else None
    except CacheError:
        return None


def _is_own_temporary(path: Path) -> bool:
    """Return whether a file is an unfinished cache or journal.

    HDF5 writes the signature of a file last: until then the file is empty or begins with zeros.
    """
    status = find_status(path, follow_symlinks=False)
    if status is None or not stat.S_ISREG(status.st_mode):
        return False
    with open(path, "rb") as file:
        start = file.read(len(JOURNAL_START))
    return start == JOURNAL_START or start[: len(SIGNATURE)] in (SIGNATURE, b"", ZEROS)


def _suggest_resuming(path: Path) -> str:
    """Return a phrase on resuming an unfinished job beside a finished cache; empty without one."""
    journal = _read_job(path)
    if journal is None or not journal.batches:
        return ""
    return (
        f"; {journal.describe_saved()} of an unfinished job are saved beside it: to resume that "
        "job, move the file away"
    )
