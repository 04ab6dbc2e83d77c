"""MNIST's four files: the images and numbers of the training part and of the test part."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from clip_cfr.extract.datasets.cmnist.idx_file import read_idx
from clip_cfr.extract.datasets.common.find_files import find_file
from clip_cfr.extract.errors import ExtractError

FOLDERS = ("", "raw/", "MNIST/raw/")
EXPECTED = "MNIST's idx files, such as train-images-idx3-ubyte, with or without .gz"


@dataclass(frozen=True)
class MnistPart:
    """The images of one of MNIST's parts.

    Attributes:
        ids: name of each image, made of the name of the file and its index there.
        images: grey values, 0 for the background.
        numbers: number from 0 to 9 that each image shows.
    """

    ids: tuple[str, ...]
    images: UInt8[np.ndarray, "n height width"]
    numbers: UInt8[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.ids)


def read_part(root: Path, part: str) -> MnistPart:
    """Read MNIST's part `train` or `t10k`.

    Raises:
        ExtractError: a file is missing or damaged, or the two files do not belong together.
    """
    images_path = find_idx_file(root, f"{part}-images-idx3-ubyte")
    numbers_path = find_idx_file(root, f"{part}-labels-idx1-ubyte")
    images, numbers = read_idx(images_path, 3), read_idx(numbers_path, 1)
    if len(images) != len(numbers):
        raise ExtractError(
            f"{images_path} has {len(images)} images, but {numbers_path} has {len(numbers)} "
            "labels, expected one for each image; download both again"
        )
    if len(numbers) and numbers.max() > 9:
        raise ExtractError(
            f"{numbers_path}: the label at index {numbers.argmax()} is {numbers.max()}, "
            "expected 0 to 9; download the file again"
        )
    ids = tuple(f"{part}-images-idx3-ubyte/{index:05d}" for index in range(len(numbers)))
    return MnistPart(ids, images, numbers)


def find_idx_file(root: Path, name: str) -> Path:
    """Return the path of one of MNIST's files, in the root or in torchvision's folders."""
    paths = [f"{folder}{name}{ending}" for folder in FOLDERS for ending in ("", ".gz")]
    return find_file(root, paths, EXPECTED)
