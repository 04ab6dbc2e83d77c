"""Grid folders: the result of a search over settings, beside the study that stores its points."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import CacheError, error_context
from clip_cfr.cache.files.atomic import make_write_error, replace_contents, temporary_path
from clip_cfr.cache.files.folder_lock import reserve_folder
from clip_cfr.cache.files.indexed_folder import check_writable
from clip_cfr.cache.runs.encoding import csv_bytes, json_bytes, parse_json
from clip_cfr.cache.runs.grid_contents import (
    LEADERBOARD,
    RESULT,
    STUDY,
    STUDY_FILES,
    check_grid_contents,
    find_leftovers,
)

IN_USE = (
    "another process is fitting the points of this grid; wait until it ends, or name another "
    "folder with --out"
)
OTHER_FOLDER = "name another folder with --out"


def default_grid_directory(name: str, digests: Sequence[str]) -> Path:
    """Return `runs/NAME-grid-DIGEST` for the first digest whose folder exists.

    If none exists, it is the folder of the first digest. Nothing is created.

    Args:
        name: name of the grid, such as that of the data set.
        digests: the digest of the grid, then those that earlier versions computed for it.
    """
    folders = [Path("runs") / f"{name}-grid-{digest}" for digest in digests]
    return next((folder for folder in folders if folder.exists()), folders[0])


def make_grid_folder(directory: Path, overwrite: bool) -> None:
    """Create the folder of a grid, and its parents; an existing grid folder is used again.

    With `overwrite`, the study of an earlier grid in it is set aside (`set_study_aside`). The
    result of the earlier grid stays until `write_grid` replaces it.

    Raises:
        CacheError: the folder holds something else, cannot be written, or is to be overwritten
            while another process fits the points of its grid.
    """
    check_grid_contents(directory, overwrite)
    check_writable(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if overwrite:
            with reserve_folder(directory, IN_USE):
                set_study_aside(directory)
    except OSError as error:
        raise make_write_error(directory, error) from error


def set_study_aside(directory: Path) -> None:
    """Move the database of a study, if there is one, into a hidden folder in the grid folder.

    `write_grid` removes the hidden folder.
    """
    found = [name for name in STUDY_FILES if (directory / name).exists()]
    if not found:
        return
    aside = temporary_path(directory / STUDY).with_suffix(".old")
    aside.mkdir()
    for name in found:
        (directory / name).rename(aside / name)


def check_same_grid(directory: Path, digests: Sequence[str]) -> None:
    """Raise CacheError if a folder holds the result of another grid; a missing result is accepted.

    Args:
        directory: the folder.
        digests: the digest of this grid, then the digests that earlier versions computed for it.
    """
    if not (directory / RESULT).exists():
        return
    found = read_grid(directory).get("digest")
    if found not in digests:
        raise CacheError(
            f"{directory / RESULT}: belongs to another grid: the digest is {found}, here "
            f"{digests[0]}; {OTHER_FOLDER}"
        )


def has_grid_files(directory: str | Path) -> bool:
    """Return whether a folder contains a `grid.json` or a `study.db`, whatever is in them.

    `holds_grid` also checks their contents.
    """
    return any((Path(directory) / name).exists() for name in (RESULT, STUDY))


def read_grid(directory: str | Path) -> dict[str, Any]:
    """Return the result in a grid folder, as `grid --json` printed it.

    Raises:
        CacheError: the folder has no `grid.json`, or it cannot be read or is not a JSON object.
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

    Then remove the leftovers in the folder, such as a study that was set aside.

    Args:
        directory: the folder of the grid.
        result: the contents of `grid.json`.
        leaderboard: columns (rows,) by name.

    Raises:
        CacheError: a value cannot be stored, or the folder cannot be written; a file that was not
            yet replaced is kept.
    """
    with error_context(directory, "nothing was written"):
        files = {
            LEADERBOARD: csv_bytes(LEADERBOARD, leaderboard),
            RESULT: json_bytes(RESULT, result),
        }
    for name, data in files.items():
        replace_contents(directory / name, data, kept="the study keeps finished points")
    for path in find_leftovers(directory):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
