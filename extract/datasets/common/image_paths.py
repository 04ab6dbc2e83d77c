"""Image paths of a metadata file: normalised, inside the root, and existing."""

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError


def normalise_paths(table: Table, values: Sequence[str]) -> tuple[str, ...]:
    """Return paths in their shortest form, such as `a/b.jpg` for `./a//b.jpg`.

    Args:
        table: the table that the paths come from, for messages.
        values: path of each entry of the table, relative to the root.

    Raises:
        ExtractError: if a path is empty, absolute, outside the root, or a duplicate.
    """
    paths = tuple(normalise_path(table, index, value) for index, value in enumerate(values))
    table.require_unique("image", paths)
    return paths


def normalise_path(table: Table, index: int, value: str) -> str:
    """Return the path of one entry in its shortest form."""
    if not value:
        raise ExtractError(
            f"{table.location(index)}: the image path is empty, "
            "expected a path relative to the root"
        )
    path = posixpath.normpath(value)
    # A backslash is a separator on Windows and a letter elsewhere: check both readings.
    windows_path = posixpath.normpath(value.replace("\\", "/"))
    if (
        windows_path.startswith(("/", "../"))
        or windows_path in (".", "..")
        or PureWindowsPath(value).drive
    ):
        raise ExtractError(
            f"{table.location(index)}: the image path {value!r} is not inside the root, "
            "expected a path relative to the root"
        )
    return path


def require_images(root: Path, table: Table, paths: Sequence[str]) -> None:
    """Raise ExtractError if an image of the table does not exist under the root.

    Each folder is listed once, which is much faster than a query for each file.

    Args:
        root: root folder.
        table: the table that lists the images, for the message.
        paths: path of each entry of the table, relative to the root.
    """
    folders: dict[str, set[str]] = {}
    missing = []
    for index, path in enumerate(paths):
        folder, name = posixpath.split(path)
        if folder not in folders:
            folders[folder] = list_folder(root / folder)
        if name not in folders[folder]:
            missing.append(index)
    if missing:
        raise ExtractError(
            f"{table.location(missing[0])}: the image {root / paths[missing[0]]} does not exist "
            f"({len(missing)} of {len(paths)} images are missing); "
            "complete the folder or correct --root"
        )


def list_folder(folder: Path) -> set[str]:
    """Return the names in a folder; the empty set if there is no such folder."""
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise ExtractError(
            f"{folder} cannot be listed ({error.strerror}); check the folder and --root"
        ) from error
