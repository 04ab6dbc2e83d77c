"""MNIST's four files: the images and numbers of the training part and of the test part."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from clip_cfr.extract.datasets.cmnist.idx_file import read_idx
from clip_cfr.extract.datasets.layouts.folder_tree import FolderTree
from clip_cfr.extract.datasets.layouts.search import Found, find_published_file
from clip_cfr.extract.errors import ExtractError

FOLDERS = ("", "raw/", "MNIST/raw/")
EXPECTED = "MNIST's idx files, such as train-images-idx3-ubyte, with or without .gz"
KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


@dataclass(frozen=True)
class MnistPart:
    """The images of one of MNIST's parts.

    Attributes:
        ids: name of each image, made of the name of the file and its index there, such as
            `train-images-idx3-ubyte/00042`.
        images: grey values, 0 for the background.
        numbers: number from 0 to 9 that each image shows.
        warnings: where the files are, if that is not where they are published to be.
    """

    ids: tuple[str, ...]
    images: UInt8[np.ndarray, "n height width"]
    numbers: UInt8[np.ndarray, " n"]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)


def read_part(root: Path, part: str) -> MnistPart:
    """Read MNIST's part `train` or `t10k`, its two files, into memory.

    Args:
        root: folder of MNIST's files.
        part: start of their names.

    Raises:
        ExtractError: a file is missing or damaged, or the two files do not belong together.
    """
    tree = FolderTree(root)
    found = [find_idx_file(tree, f"{part}-{kind}") for kind in KINDS]
    images_path, numbers_path = (each.path for each in found)
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
    warnings = tuple(warning for each in found for warning in each.warnings)
    return MnistPart(ids, images, numbers, warnings)


def find_idx_file(tree: FolderTree, name: str) -> Found:
    """Return one of MNIST's files, at a published path or the nearest one with such a name.

    Args:
        tree: the folders of the data set.
        name: published name of the file, such as `train-images-idx3-ubyte`.

    Raises:
        ExtractError: the root is not a folder, there is no such file, or several are equally near.
    """
    # In some copies a dot precedes `idx`, and Kaggle puts each file into a folder of its name.
    names = (name, name.replace("-idx", ".idx"))
    paths = [path for each in names for path in (each, f"{each}.gz", f"{each}/{each}")]
    return find_published_file(tree, [f + path for f in FOLDERS for path in paths], EXPECTED)
