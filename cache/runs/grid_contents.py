"""Recognize the files of a grid folder by their contents, so that only they are replaced."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from clip_cfr.cache.errors import CacheError, FieldError
from clip_cfr.cache.files.atomic import find_temporaries
from clip_cfr.cache.runs.encoding import parse_json

RESULT, LEADERBOARD, STUDY = "grid.json", "leaderboard.csv", "study.db"
# SQLite leaves the last three behind if its process is killed.
STUDY_FILES = (STUDY, f"{STUDY}-journal", f"{STUDY}-wal", f"{STUDY}-shm")
SQLITE_SIGNATURE = b"SQLite format 3\0"
# User attribute by which this program marks the studies that it creates.
MARK = "clip-cfr"
COUNT_FOREIGN = """
SELECT COUNT(*) FROM studies
WHERE EXISTS (SELECT 1 FROM trials WHERE trials.study_id = studies.study_id)
AND NOT EXISTS (
    SELECT 1 FROM study_user_attributes AS attributes
    WHERE attributes.study_id = studies.study_id AND attributes.key = ?
)
"""


def check_grid_contents(directory: Path, overwrite: bool) -> None:
    """Raise CacheError unless a folder is missing, empty or a grid folder.

    Args:
        directory: the folder.
        overwrite: whether its contents will be replaced. If so, the grid folder must hold nothing
            but the files of the grid; otherwise other files are allowed beside them.

    Raises:
        CacheError: the path is not a folder, the folder has contents but no grid, or `overwrite`
            is set and it holds an entry that is not part of the grid.
    """
    if not directory.exists() and not directory.is_symlink():
        return
    if not directory.is_dir():
        raise CacheError(f"{directory}: expected a folder, found a file; name another one")
    if any(directory.iterdir()) and not holds_grid(directory):
        raise CacheError(f"{directory}: exists and is not a grid folder; name another one")
    foreign = find_foreign(directory)
    if overwrite and foreign:
        raise CacheError(
            f"{directory}: the grid folder holds {foreign[0]}, which is not part of the grid; "
            "move it away or name another folder"
        )


def holds_grid(directory: Path) -> bool:
    """Return whether a folder contains a result (`is_result`) or a study (`is_study`) of a grid."""
    return is_result(directory / RESULT) or is_study(directory / STUDY)


def find_foreign(directory: Path) -> list[str]:
    """Return the sorted names of the entries of a grid folder that are not part of the grid.

    Part of it are its result, leaderboard and study, if they are regular files, and leftovers.
    """
    known = {LEADERBOARD, RESULT}
    known |= {*STUDY_FILES} if is_study(directory / STUDY) else set()
    others = set(directory.iterdir()) - {*find_leftovers(directory)}
    return sorted(
        each.name
        for each in others
        if each.name not in known or each.is_symlink() or not each.is_file()
    )


def find_leftovers(directory: Path) -> list[Path]:
    """Return the entries of a grid folder that are removed when the next result is written.

    These are studies that were set aside, and temporary files of a killed process.
    """
    aside = [each for each in find_temporaries(directory / STUDY, "old") if _is_aside(each)]
    names = (RESULT, LEADERBOARD)
    temporary = [each for name in names for each in find_temporaries(directory / name)]
    return aside + [each for each in temporary if each.is_file() and not each.is_symlink()]


def _is_aside(directory: Path) -> bool:
    """Return whether a folder holds a study of a grid and nothing else, or is empty."""
    if directory.is_symlink() or not directory.is_dir():
        return False
    names = {each.name for each in directory.iterdir()}
    return not names or (names <= {*STUDY_FILES} and is_study(directory / STUDY))


def is_result(path: Path) -> bool:
    """Return whether a file is JSON with the digest and the points of a grid's result.

    False if it is missing or damaged.
    """
    try:
        found = parse_json(path.name, path.read_bytes())
    except (OSError, FieldError):
        return False
    return isinstance(found.get("digest"), str) and isinstance(found.get("points"), list)


def is_study(path: Path) -> bool:
    """Return whether a regular file is a database of this program's studies, or empty.

    It is an SQLite file of Optuna in which every study with trials has the mark of this program, or
    one without tables. If SQLite cannot read it, the file is searched for the mark. False if it is
    missing, a symbolic link or not readable.
    """
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with open(path, "rb") as file:
            start = file.read(len(SQLITE_SIGNATURE))
        return not start or (start == SQLITE_SIGNATURE and _has_no_foreign_study(path))
    except OSError:
        return False


def _has_no_foreign_study(path: Path) -> bool:
    address = f"file:{quote(os.fsencode(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            [[tables]] = database.execute("SELECT COUNT(*) FROM sqlite_master")
            return not tables or database.execute(COUNT_FOREIGN, [MARK]).fetchone() == (0,)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # Otherwise it is damaged, or a killed process left a transaction to roll back.
        return not str(error).startswith("no such table") and MARK.encode() in path.read_bytes()
