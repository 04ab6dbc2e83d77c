"""Where the files of a data set lie, and the refusal of paths that lead out of it."""

import os
import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath

from clip_cfr.extract.datasets.common.csv_table import Table
from clip_cfr.extract.errors import ExtractError


def find_file(
    root: Path, candidates: Sequence[str], expected: str, given: Path | None = None
) -> Path:
    """The given file, or the first of the candidates that is a file under the root.

    `expected` says in words what the root should hold.

    Raises:
        ExtractError: the root is no folder, or has none of the candidates; names both.
    """
    require_folder(root, expected)
    found = given or first_file(root, candidates)
    if found is None:
        raise ExtractError(
            f"{root} has none of {', '.join(candidates)}; give --root a folder with {expected}"
        )
    return found


def require_folder(root: Path, expected: str) -> None:
    """Raises ExtractError where the root is no folder."""
    if not root.is_dir():
        raise ExtractError(f"no folder {root}; give --root a folder with {expected}")


def first_file(root: Path, candidates: Iterable[str]) -> Path | None:
    """The first of the candidates that is a file under the root, or None."""
    return next((root / name for name in candidates if (root / name).is_file()), None)


def first_folder(root: Path, candidates: Iterable[str]) -> Path:
    """The first of the candidates that is a folder under the root, or the root itself."""
    return next((root / name for name in candidates if (root / name).is_dir()), root)


def relative_paths(table: Table, values: Sequence[str]) -> tuple[str, ...]:
    """A column of paths in their shortest form, such as `a/b.jpg` for `./a//b.jpg`.

    Raises:
        ExtractError: a path is empty, absolute, climbs out of the root, or stands in two rows.
    """
    paths = tuple(relative_path(table, index, value) for index, value in enumerate(values))
    table.refuse_duplicates("the image", paths)
    return paths


def relative_path(table: Table, index: int, value: str) -> str:
    """One path in its shortest form."""
    if not value:
        raise ExtractError(f"{table.place(index)}: the path is empty, expected an image's")
    path = posixpath.normpath(value)
    # A backslash separates on one system and is a letter on another; it must lead out on neither.
    steps = posixpath.normpath(value.replace("\\", "/"))
    if steps.startswith(("/", "../")) or steps in (".", "..") or PureWindowsPath(value).drive:
        raise ExtractError(
            f"{table.place(index)}: the path {value!r} leads out of the root, "
            "expected one that is relative to it"
        )
    return path


def require_images(root: Path, table: Table, paths: Sequence[str]) -> None:
    """Raises ExtractError where an image of the table is no file under the root.

    `paths[i]` belongs to entry i of the table. Each folder is listed once, which is much faster
    than asking for every file.
    """
    folders: dict[str, set[str]] = {}
    missing = []
    for index, path in enumerate(paths):
        folder, name = posixpath.split(path)
        if folder not in folders:
            folders[folder] = listed(root / folder)
        if name not in folders[folder]:
            missing.append(index)
    if missing:
        raise ExtractError(
            f"{table.place(missing[0])}: no image {root / paths[missing[0]]} "
            f"({len(missing)} of {len(paths)} images are missing); "
            "complete the folder, or check --root"
        )


def listed(folder: Path) -> set[str]:
    """The names in a folder; none where there is no such folder."""
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise ExtractError(f"{folder}: cannot be listed ({error.strerror})") from error
