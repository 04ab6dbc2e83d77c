"""Inputs of a prediction: images, folders, archives, lists of paths, and caches."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from clip_cfr.extract.datasets.archives.find_archives import walk_folders
from clip_cfr.extract.datasets.common.find_list import list_ending
from clip_cfr.extract.datasets.common.folders import is_image_name, list_folder
from clip_cfr.extract.datasets.tables.read_table import read_table
from clip_cfr.extract.datasets.tables.roles import FILENAME
from clip_cfr.extract.datasets.webdataset.dataset import ENDINGS as TAR_ENDINGS
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.predict.archives import list_tar, list_zip
from clip_cfr.extract.predict.listed_images import ListedImages, join_images

CACHE_ENDINGS = (".h5", ".hdf5")
HDF5_START, ZIP_START = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
KINDS = "an image, a folder, a tar or zip archive, a list of paths, or a cache"


def read_inputs(paths: Sequence[Path], skip_damage: bool) -> list[ListedImages | Path]:
    """Return the images of neighbouring inputs joined, and the path of each cache, in order.

    Args:
        paths: the inputs.
        skip_damage: whether a damaged tar archive is read up to the damage, and a list whose first
            image is missing is read, each with a warning.

    Raises:
        OptionError: there is no input.
        ExtractError: an input does not exist, holds no image or cannot be read.
    """
    if not paths:
        raise OptionError(f"expected at least one INPUT, found none; name {KINDS}")
    for path in paths:
        if not path.exists():
            raise ExtractError(f"{path} does not exist; name {KINDS}")
    found: list[ListedImages | Path] = []
    for are_caches, group in groupby(paths, is_cache_file):
        members = list(group)
        listed = [] if are_caches else [list_images(path, skip_damage) for path in members]
        found += members if are_caches else [join_images(listed)]
    return found


def is_cache_file(path: Path) -> bool:
    """Return whether a file is to be read as a cache: it is HDF5, or its name ends so."""
    return path.is_file() and (
        path.name.lower().endswith(CACHE_ENDINGS) or starts_with(path, HDF5_START)
    )


def starts_with(path: Path, start: bytes) -> bool:
    """Return whether a regular file begins with some bytes; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def list_images(path: Path, skip_damage: bool) -> ListedImages:
    """Return the images of an input that is no cache; it has at least one.

    Raises:
        ExtractError: the input holds no image or cannot be read.
    """
    found = choose_reader(path, skip_damage)(path)
    if not found.names:
        raise ExtractError(f"{path}: expected images, found none{describe_other(path)}")
    return found


def choose_reader(path: Path, skip_damage: bool) -> Callable[[Path], ListedImages]:
    """Return the function that lists the images of an input, by its kind and name.

    A file of no other kind is taken as an image; decoding says why it is none.
    """
    if path.is_dir():
        return list_image_files
    if list_ending(path):
        return lambda table: read_list(table, skip_damage)
    if path.name.lower().endswith(TAR_ENDINGS):
        return lambda tar: list_tar(tar, skip_damage)
    if path.is_file() and starts_with(path, ZIP_START):
        return list_zip
    return lambda image: list_files([str(image)])


def list_files(paths: Sequence[str]) -> ListedImages:
    """Return image files, each named by its path."""
    return ListedImages(tuple(paths), FileSource(Path(), tuple(paths)))


def list_image_files(folder: Path) -> ListedImages:
    """Return the files in and below a folder that end like an image, sorted by path.

    Hidden files and folders are left out, and so are links to folders.

    Raises:
        ExtractError: the folder cannot be listed; those below that cannot are left out.
    """
    list_folder(folder)
    return list_files(
        sorted(
            str(each / name)
            for each in walk_folders(folder)
            for name in list_folder(each)
            if is_image_name(name)
        )
    )


def describe_other(path: Path) -> str:
    """Return what to do about an input without images, such as a folder of archives."""
    names = [] if not path.is_dir() else sorted(list_folder(path))
    others = [name for name in names if name.lower().endswith((*TAR_ENDINGS, ".zip", ".h5"))]
    if others:
        return f"; it holds {others[0]}: name such files themselves"
    return "; name files that end in .jpg or .png, for example, or what holds some"


def read_list(path: Path, skip_missing: bool) -> ListedImages:
    """Return the images of a list of paths, as files.

    Paths are relative to the folder of the list; or to the working directory, if the first image is
    there and not beside the list.

    Args:
        path: the list.
        skip_missing: whether a list whose first image is in neither folder is read, with a warning.

    Raises:
        ExtractError: the list cannot be read or has no column of paths, or its first image is in
            neither folder.
    """
    table = read_table(path)
    column = table.find_column(FILENAME)
    if column is None:
        raise ExtractError(
            f"{path}: expected a column of image paths, such as filename, found the columns "
            f"{', '.join(table.columns)}; rename the column of paths"
        )
    values = table.columns[column]
    folders = [folder for folder in (path.parent, Path()) if os.path.exists(folder / values[0])]
    if not folders and not skip_missing:
        raise ExtractError(explain_missing(path, values[0]))
    warnings = () if folders else (explain_missing(path, values[0]),)
    folder = folders[0] if folders else path.parent
    names = [os.path.normpath(os.path.join(folder, value)) for value in values]
    return replace(list_files(names), warnings=warnings)


def explain_missing(path: Path, first: str) -> str:
    """Return where the first image of a list was looked for, and what to do."""
    if Path(first).is_absolute():
        return f"{path}: its first image, {first}, does not exist; correct the paths"
    return (
        f"{path}: its first image, {first}, is neither in {path.parent.absolute()}, the folder of "
        f"the list, nor in {Path.cwd()}, the working directory, to which paths may be relative; "
        "move the list to the folder of its paths, or call predict from there"
    )
