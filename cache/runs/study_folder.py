"""Study folders: the answer of a study, its tables and plot, beside the database of its points."""

from collections.abc import Callable, Mapping
from pathlib import Path

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.atomic import make_write_error, replace_contents
from clip_cfr.cache.files.indexed_folder import check_writable
from clip_cfr.cache.format.nested import load_json
from clip_cfr.cache.runs.grid_contents import is_study

POINTS = "points.db"
RESULT = "study.json"


def has_points(directory: Path) -> bool:
    """Return whether a folder is that of a study that fits points."""
    return is_study(directory / POINTS)


def has_cost(directory: Path) -> bool:
    """Return whether a folder is that of the study `cost`."""
    try:
        return load_json((directory / RESULT).read_bytes())["study"] == "cost"
    except (OSError, ValueError, TypeError, KeyError):
        return False


def make_study_folder(directory: Path, is_known: Callable[[Path], bool] = has_points) -> None:
    """Create the folder of a study, and its parents; an existing one is used again.

    Args:
        directory: the folder.
        is_known: whether a folder that holds something may be used again.

    Raises:
        CacheError: the path is a file, the folder holds something else, or cannot be written.
    """
    if directory.exists() and not directory.is_dir():
        raise CacheError(f"{directory}: expected a folder, found a file; name another one")
    if directory.is_dir() and any(directory.iterdir()) and not is_known(directory):
        raise CacheError(f"{directory}: exists and is not a study folder; name another one")
    check_writable(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise make_write_error(directory, error) from error


def write_study_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write files of a study by name; each replaces an earlier one atomically.

    Raises:
        CacheError: the folder cannot be written; finished points are kept.
    """
    for name, data in files.items():
        replace_contents(directory / name, data, kept="finished points are kept")
