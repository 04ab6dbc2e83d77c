"""The rendered digits on disk: a PNG file for each picture, their list, and what they are.

The folder grows under another name and is renamed when all of it is there, so that a root with
digits in it holds all of them, and a rendering that was interrupted is begun anew.
"""

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from clip_cfr.cache.files.atomic import beside, locked, unwritable
from clip_cfr.extract.datasets.common.csv_table import read_text
from clip_cfr.extract.datasets.digits.picture_plan import COLOUR_NAMES, Picture, plan
from clip_cfr.extract.datasets.digits.rendering import handwritten, render
from clip_cfr.extract.errors import ExtractError

# To be raised whenever a seed comes to give other pictures than before.
VERSION = 1
LIST, DESCRIPTION = "metadata.csv", "rendering.json"
COLUMNS = ("filename", "label", "attribute", "split", "subject", "number")


def ensure_rendered(root: Path, seed: int) -> None:
    """Renders the digits of a seed into the root, unless they are there.

    Raises:
        ExtractError: the root holds something else, or digits of another seed or version.
        CacheError: the root cannot be written, or another process is rendering into it.
    """
    expected = json.dumps({"dataset": "digits", "version": VERSION, "seed": seed})
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        render_all(root.resolve(), seed, expected)
        return
    if not (root / DESCRIPTION).is_file():
        raise ExtractError(
            f"{root} is neither empty nor a folder of rendered digits, which has a {DESCRIPTION}; "
            "give --root a new folder"
        )
    found = read_text(root / DESCRIPTION)
    if found != expected:
        raise ExtractError(
            f"{root / DESCRIPTION} is {found}, expected {expected}; delete the folder to have the "
            "digits rendered again, or give --root a new one"
        )


def render_all(root: Path, seed: int, description: str) -> None:
    """Makes the folder of all pictures, their list and the description."""
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with locked(root):
            partial = beside(root, "partial")
            if partial.exists():
                shutil.rmtree(partial)
            rng = np.random.RandomState(seed)
            pictures = plan(rng)
            for picture in pictures:
                write_picture(partial / picture.filename, rng, picture)
            write_list(partial / LIST, pictures)
            (partial / DESCRIPTION).write_text(description, encoding="utf-8")
            partial.replace(root)
    except OSError as error:
        raise unwritable(root, error) from error


def write_picture(path: Path, rng: np.random.RandomState, picture: Picture) -> None:
    """Renders a picture into a PNG file."""
    inks, _ = handwritten()
    pixels = render(rng, inks[picture.subject], COLOUR_NAMES[picture.attribute])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_list(path: Path, pictures: Sequence[Picture]) -> None:
    """Writes the columns of all pictures as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([getattr(each, column) for column in COLUMNS] for each in pictures)
