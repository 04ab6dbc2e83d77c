"""Grid folders: the result of a search over settings, beside the study that stores its points."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import CacheError, error_context
from clip_cfr.cache.files.atomic import add_suffix, replace_file, write_and_sync, write_error
from clip_cfr.cache.runs.encoding import csv_bytes, json_bytes, parse_json
from clip_cfr.cache.runs.folder import check_writable

RESULT, LEADERBOARD, STUDY = "grid.json", "leaderboard.csv", "study.db"
# SQLite leaves the last three behind if its process is killed.
STUDY_FILES = (STUDY, f"{STUDY}-journal", f"{STUDY}-wal", f"{STUDY}-shm")
OTHER_FOLDER = "name another folder with --out"


def default_grid_directory(name: str, digests: Sequence[str]) -> Path:
    """Return `runs/NAME-grid-DIGEST` for the first digest whose folder exists, or the first one."""
    folders = [Path("runs") / f"{name}-grid-{digest}" for digest in digests]
    return next((folder for folder in folders if folder.exists()), folders[0])


def make_grid_folder(directory: Path, overwrite: bool) -> None:
    """Create the folder of a grid; with `overwrite`, remove an earlier grid in it.

    Raises:
        CacheError: the folder holds something else, or cannot be written.
    """
    check_writable(directory)
    if directory.exists() and not directory.is_dir():
        raise CacheError(f"{directory}: expected a folder, found a file; name another one")
    earlier = [directory / name for name in (*STUDY_FILES, RESULT, LEADERBOARD)]
    is_grid = any(path.exists() for path in earlier)
    if not is_grid and directory.exists() and any(directory.iterdir()):
        raise CacheError(f"{directory}: exists and is no grid folder; name another one")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path in earlier if overwrite else ():
            path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(directory, error) from error


def check_same_grid(directory: Path, digests: Sequence[str]) -> None:
    """Raise CacheError if a folder holds the result of another grid.

    Args:
        directory: the folder.
        digests: the digest of this grid, then those that earlier versions gave it.
    """
    if not (directory / RESULT).exists():
        return
    found = read_grid(directory).get("digest")
    if found not in digests:
        raise CacheError(
            f"{directory / RESULT}: belongs to another grid: the digest is {found}, here "
            f"{digests[0]}; {OTHER_FOLDER}"
        )


def is_grid(directory: str | Path) -> bool:
    """Return whether a folder holds the files of a grid, finished or not."""
    return any((Path(directory) / name).exists() for name in (RESULT, STUDY))


def read_grid(directory: str | Path) -> dict[str, Any]:
    """Return the result in a grid folder, as `grid --json` printed it.

    Raises:
        CacheError: the folder has no result, or it is damaged.
    """
    path = Path(directory) / RESULT
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CacheError(
            f"{path}: cannot be read: {error.strerror}; expected the folder of a finished grid"
        ) from error
    with error_context(path, OTHER_FOLDER):
        return parse_json(RESULT, data)


def write_grid(
    directory: Path, result: dict[str, Any], leaderboard: Mapping[str, np.ndarray]
) -> None:
    """Write `leaderboard.csv` and `grid.json`; each replaces an earlier one atomically.

    Args:
        directory: the folder of the grid.
        result: the contents of `grid.json`.
        leaderboard: columns (rows,) by name.

    Raises:
        CacheError: the folder cannot be written; earlier files are kept.
    """
    with error_context(directory, "nothing was written"):
        files = {
            LEADERBOARD: csv_bytes(LEADERBOARD, leaderboard),
            RESULT: json_bytes(RESULT, result),
        }
    for name, data in files.items():
        path = directory / name
        temporary = add_suffix(path, ".partial")
        try:
            write_and_sync(temporary, data)
            replace_file(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise write_error(path, error, kept="the study keeps finished points") from error
