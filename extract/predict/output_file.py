"""Write predictions to a file: line by line under another name, which is renamed at the end."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.atomic import (
    find_temporaries,
    make_write_error,
    replace_file,
    temporary_path,
    write_lock,
)
from clip_cfr.cache.files.output import (
    check_folder,
    check_is_no_input,
    resolve_output,
    stat_regular_file,
)
from clip_cfr.extract.predict.formats import COLUMNS

STARTS = (",".join(COLUMNS).encode(), b'{"image": ')


@contextmanager
def reserve_file(path: Path, overwrite: bool, inputs: Iterable[Path]) -> Iterator[Path]:
    """Hold the lock of a file of predictions in the block, after checking that it may be written.

    Leftovers of a killed process are removed.

    Args:
        path: the file. If it is a symbolic link, its target is written.
        overwrite: whether to replace an older file of predictions.
        inputs: files and folders that the same command reads.

    Yields:
        The file to write.

    Raises:
        OutputError: the file is one of the inputs.
        CacheError: the file cannot be written, another process writes it, it exists and
            `overwrite` is false, or it is not a file of predictions.
    """
    check_is_no_input(path, inputs)
    target = resolve_output(path)
    stat_regular_file(target)
    check_folder(target)
    with write_lock(target):
        check_replaceable(target, overwrite)
        for left in find_temporaries(target):
            left.unlink(missing_ok=True)
        yield target


def check_replaceable(path: Path, overwrite: bool) -> None:
    """Raise CacheError unless a path is free, or a file of predictions that may be replaced."""
    if not path.exists():
        return
    with path.open("rb") as file:
        start = file.read(max(map(len, STARTS)))
    if start and not start.startswith(STARTS):
        raise CacheError(f"{path}: exists and is not a file of predictions; name another one")
    if not overwrite:
        raise CacheError(f"{path}: the file exists; replace it with --overwrite or name another")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines, as they come, to a file that the caller has reserved; it is replaced at the end.

    Bytes of file names that are not UTF-8 become backslash escapes.

    Raises:
        CacheError: the file cannot be written. As after any exception of `lines`, an older file is
            kept.
    """
    temporary = temporary_path(path)
    try:
        with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            for line in lines:
                file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
        replace_file(temporary, path)
    except OSError as error:
        raise make_write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
