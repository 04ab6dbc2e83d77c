"""The rendered digits on disk: PNG files, their metadata file and a description.

The folder is rendered under a temporary name and renamed when it is complete, so a root that holds
digits holds all of them, and an interrupted rendering starts again from the beginning.
"""

import csv
import json
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from clip_cfr.cache.files.atomic import (
    find_temporaries,
    make_write_error,
    temporary_path,
    write_lock,
)
from clip_cfr.extract.datasets.digits.handwritten import load_handwritten
from clip_cfr.extract.datasets.digits.picture_plan import COLOUR_NAMES, Picture, plan_pictures
from clip_cfr.extract.datasets.digits.rendering import render_digit
from clip_cfr.extract.datasets.tables.text import read_text
from clip_cfr.extract.errors import ExtractError

# Increment this whenever the pictures of a seed change.
VERSION = 1
METADATA, DESCRIPTION = "metadata.csv", "rendering.json"
COLUMNS = ("filename", "label", "attribute", "split", "subject", "number")


def ensure_rendered(root: Path, seed: int) -> None:
    """Render the digits of a seed into the root, unless the root holds them already.

    A root that is missing or empty is rendered. Of any other only the description `rendering.json`
    is checked, not the pictures.

    Raises:
        ExtractError: the root holds other files, or digits of another seed or version.
        CacheError: the root cannot be written, or another process is rendering into it.
    """
    expected = json.dumps({"dataset": "digits", "version": VERSION, "seed": seed})
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        render_folder(root.resolve(), seed, expected)
        return
    if not (root / DESCRIPTION).is_file():
        raise ExtractError(
            f"{root} is neither empty nor a folder of rendered digits (no {DESCRIPTION}); "
            "set --root to a new folder"
        )
    found = read_text(root / DESCRIPTION)
    if found != expected:
        raise ExtractError(
            f"{root / DESCRIPTION} is {found}, expected {expected}; delete the folder to render "
            "the digits again, or set --root to a new folder"
        )


def render_folder(root: Path, seed: int, description: str) -> None:
    """Write all pictures, the metadata file and the description; replace the root atomically.

    Args:
        root: the folder to create, or an empty one to replace.
        seed: seed of the pictures.
        description: content of DESCRIPTION.

    Raises:
        CacheError: the root cannot be written, or another process is rendering into it.
    """
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with write_lock(root):
            rng = np.random.RandomState(seed)
            pictures = plan_pictures(rng)
            remove_unfinished(root, {picture.filename for picture in pictures})
            partial = temporary_path(root)
            for picture in pictures:
                write_picture(partial / picture.filename, rng, picture)
            write_metadata(partial / METADATA, pictures)
            (partial / DESCRIPTION).write_text(description, encoding="utf-8")
            partial.replace(root)
    except OSError as error:
        raise make_write_error(root, error) from error


def remove_unfinished(root: Path, filenames: Collection[str]) -> None:
    """Remove the temporary folders that killed renderings into a root have left beside it.

    A folder that holds any other file than those of a rendering is kept.

    Args:
        root: the folder to render into.
        filenames: paths of the pictures, relative to the folder.
    """
    expected = {*filenames, METADATA, DESCRIPTION}
    for folder in find_temporaries(root):
        files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
        if folder.is_dir() and not folder.is_symlink() and files <= expected:
            shutil.rmtree(folder)


def write_picture(path: Path, rng: np.random.RandomState, picture: Picture) -> None:
    """Render a picture into a PNG file; create its folder.

    Args:
        path: the file.
        rng: draws the jitter of `render_digit`; its state advances.
        picture: the picture.

    Raises:
        OSError: the file cannot be written.
    """
    inks, _ = load_handwritten()
    pixels = render_digit(rng, inks[picture.subject], COLOUR_NAMES[picture.attribute])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_metadata(path: Path, pictures: Sequence[Picture]) -> None:
    """Write a CSV file with the header COLUMNS and a row for each picture, in their order.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([getattr(each, column) for column in COLUMNS] for each in pictures)
