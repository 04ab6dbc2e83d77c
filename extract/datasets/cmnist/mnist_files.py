"""MNIST's four files."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from clip_cfr.extract.datasets.cmnist.idx_file import read_idx
from clip_cfr.extract.datasets.common.image_paths import find_file
from clip_cfr.extract.errors import ExtractError

FOLDERS = ("", "raw/", "MNIST/raw/")
EXPECTED = "MNIST's idx files, such as train-images-idx3-ubyte, with or without .gz"
SIZES = {"train-images-idx3-ubyte": (60_000,), "t10k-images-idx3-ubyte": (10_000,)}


def ids(part: str, n: int) -> list[str]:
    """A name for each digit of a file, by its position."""
    return [f"{part}-images-idx3-ubyte/{index:05d}" for index in range(n)]


def read_part(
    root: Path, part: str
) -> tuple[UInt8[np.ndarray, "n height width"], UInt8[np.ndarray, " n"]]:
    """The images of MNIST's `train` or `t10k` part, and the numbers that they show.

    Raises:
        ExtractError: a file is missing or damaged, or the two do not belong together.
    """
    images = find_idx(root, f"{part}-images-idx3-ubyte")
    labels = find_idx(root, f"{part}-labels-idx1-ubyte")
    digits, numbers = read_idx(images, 3), read_idx(labels, 1)
    if len(digits) != len(numbers):
        raise ExtractError(
            f"{images} holds {len(digits)} images, but {labels} {len(numbers)} labels; "
            "expected one for each"
        )
    if len(numbers) and numbers.max() > 9:
        raise ExtractError(
            f"{labels}: label {numbers.argmax()} is {numbers.max()}, expected 0 to 9"
        )
    return digits, numbers


def find_idx(root: Path, name: str) -> Path:
    """One of MNIST's files, gzipped or not, in the root or where torchvision puts it."""
    paths = [f"{folder}{name}{ending}" for folder in FOLDERS for ending in ("", ".gz")]
    return find_file(root, paths, EXPECTED)
