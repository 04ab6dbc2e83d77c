"""Grid folders: what a search over settings came to, beside the study that it is kept in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import CacheError, error_context
from clip_cfr.cache.files.atomic import add_suffix, replace_file, write_and_sync, write_error
from clip_cfr.cache.runs.encoding import csv_bytes, json_bytes, parse_json
from clip_cfr.cache.runs.folder import check_writable

RESULT, BOARD, STUDY = "grid.json", "leaderboard.csv", "study.db"
# What SQLite leaves beside the study of a process that was killed.
STUDY_FILES = (STUDY, f"{STUDY}-journal", f"{STUDY}-wal", f"{STUDY}-shm")


def make_grid_folder(directory: Path, overwrite: bool) -> None:
    """Makes the folder of a grid; with `overwrite` an older grid in it is removed.

    Raises:
        CacheError: there is something else, or nothing may be written there.
    """
    check_writable(directory)
    if directory.exists() and not directory.is_dir():
        raise CacheError(f"{directory}: expected a folder, found a file; name another one")
    older = [directory / name for name in (*STUDY_FILES, RESULT, BOARD)]
    if not any(each.exists() for each in older) and directory.exists() and any(directory.iterdir()):
        raise CacheError(f"{directory}: exists and is no grid folder; name another one")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for each in older if overwrite else ():
            each.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(directory, error) from error


def refuse_other_grid(directory: Path, digest: str) -> None:
    """Checks that no result of another grid would be replaced.

    Raises:
        CacheError: the folder holds one.
    """
    path = directory / RESULT
    if not path.exists():
        return
    with error_context(path, "name another folder with --out"):
        found = parse_json(RESULT, path.read_bytes()).get("digest")
    if found != digest:
        raise CacheError(
            f"{path}: is of another grid ({found}, this is {digest}); "
            "name another folder with --out"
        )


def write_grid(directory: Path, result: dict[str, Any], board: Mapping[str, np.ndarray]) -> None:
    """Writes `leaderboard.csv` and `grid.json`, each whole or not at all.

    Args:
        board: columns (points,).

    Raises:
        CacheError: the folder cannot be written to; what was there stays.
    """
    with error_context(directory, "nothing was written"):
        files = {BOARD: csv_bytes(BOARD, board), RESULT: json_bytes(RESULT, result)}
    for name, data in files.items():
        path = directory / name
        temporary = add_suffix(path, ".partial")
        try:
            write_and_sync(temporary, data)
            replace_file(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            kept = "the study keeps what is finished"
            raise write_error(path, error, kept=kept) from error
