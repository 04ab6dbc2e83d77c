"""Folders that are classes, as torchvision's ImageFolder and Hugging Face's imagefolder have them.

The folders of splits are above those of classes (train/cat/a.jpg) or below them (cat/train/a.jpg),
or there are none (cat/a.jpg). Deeper folders are part of a class.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clip_cfr.extract.datasets.common.find_list import FoundList
from clip_cfr.extract.datasets.common.folders import LEFTOVERS, is_image_name
from clip_cfr.extract.datasets.common.values import parse_split_word
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """The positions of the class and of the split among the parts of an image path.

    Attributes:
        label: index of the part of a path that is the class.
        split: index of the part that is the split; None if there is none.
    """

    label: int
    split: int | None = None

    def depth(self) -> int:
        """Return the smallest number of parts, with the file name, of a path that has a class."""
        return 2 + max(self.label, self.split or 0)


def read_class_folders(root: Path) -> FoundList | None:
    """Return the images of a root as a list made from its folders of classes.

    Returns:
        A table with the columns filename (path relative to the root), label and, if folders name
        the splits, split; and a warning about images outside. None if there are fewer than two
        classes, or all of them are called like splits.

    Raises:
        ExtractError: the folder of a class is a data set of its own, see `refuse_data_sets`.
    """
    paths = list_images(root)
    layout = find_layout(paths)
    inside = [parts for parts in paths if len(parts) >= layout.depth()]
    classes = {parts[layout.label] for parts in inside}
    if len(classes) < 2 or all(parse_split_word(name) is not None for name in classes):
        return None
    refuse_data_sets(root, inside, layout)
    columns = {
        "filename": tuple("/".join(parts) for parts in inside),
        "label": tuple(parts[layout.label] for parts in inside),
    }
    if layout.split is not None:
        columns["split"] = tuple(parts[layout.split] for parts in inside)
    table = Table(root, columns, range(1, len(inside) + 1))
    return FoundList(table, warn_of_images_without_class(root, paths, layout))


def refuse_data_sets(root: Path, paths: Sequence[Parts], layout: Layout) -> None:
    """Raise ExtractError if the folder of a class holds splits and is therefore a data set.

    It holds splits if all folders with images in it are called like splits, among them train and at
    least one other. Nothing is checked if the layout has splits already.

    Args:
        root: root folder, for the message.
        paths: parts of the path of each image.
        layout: the positions of class and split in them.
    """
    below = layout.label + 1
    if layout.split is not None:
        return
    codes: dict[Parts, set[int | None]] = {}
    for parts in paths:
        if len(parts) > below + 1:
            codes.setdefault(parts[:below], set()).add(parse_split_word(parts[below]))
    for folder, found in codes.items():
        if 0 in found and None not in found and len(found) > 1:
            names = ", ".join(sorted({parts[layout.label] for parts in paths}))
            raise ExtractError(
                f"{root.joinpath(*folder)} holds the folders of splits, so it is a data set "
                f"instead of one of the classes {names}; set --root to it"
            )


def list_images(root: Path) -> list[Parts]:
    """Return the parts of the path, relative to a root, of each image at any depth below it.

    The order is that of a sorted walk: the files of a folder precede those of its subfolders. Links
    to folders are followed; hidden files and folders are left out.
    """
    paths = []
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if not LEFTOVERS.match(name))
        parts = Path(folder).relative_to(root).parts
        paths += [(*parts, name) for name in sorted(files) if is_image_name(name)]
    return paths


def find_layout(paths: Sequence[Parts]) -> Layout:
    """Return the positions of class and split, below the outer folders that hold all images.

    The split is above the class (`train/cat/a.jpg`), below it (`cat/train/a.jpg`), or None.
    """
    first = count_wrappers(paths)
    if is_split_level(paths, first):
        return Layout(label=first + 1, split=first)
    if is_split_level(paths, first + 1):
        return Layout(label=first, split=first + 1)
    return Layout(label=first)


def count_wrappers(paths: Sequence[Parts]) -> int:
    """Return the number of nested outer folders that hold all images and are not splits.

    The innermost folder of an image is never counted, because it may be that of a class: 1 for
    `data/dog/a.jpg` and `data/cat/b.jpg`, 0 for `dog/a.jpg` alone.
    """
    count = 0
    while (
        len({parts[count] for parts in paths if len(parts) > count}) == 1
        and min(map(len, paths)) > count + 2
        and parse_split_word(paths[0][count]) is None
    ):
        count += 1
    return count


def is_split_level(paths: Sequence[Parts], level: int) -> bool:
    """Return whether the folders at a level of the paths are splits, among them train.

    All of them must be, but at level 0 other folders may stand beside the splits. Images directly
    in the folders of level 0, such as those of a test split without labels, do not count.

    Args:
        paths: parts of the path of each image.
        level: index of the part.
    """
    names = {parts[level] for parts in paths if len(parts) > level + 2}
    if level:
        names |= {parts[level] for parts in paths if len(parts) == level + 2}
    codes = {parse_split_word(name) for name in names}
    return 0 in codes and (level == 0 or None not in codes)


def warn_of_images_without_class(
    root: Path, paths: Sequence[Parts], layout: Layout
) -> tuple[str, ...]:
    """Return one warning with the number and the first of the images in no folder of a class.

    Empty if there are none.
    """
    outside = [parts for parts in paths if len(parts) < layout.depth()]
    if not outside:
        return ()
    return (
        f"folder: left out {len(outside):,} of {len(paths):,} images below {root} that are in no "
        f"folder of a class, the first is {'/'.join(outside[0])}",
    )
