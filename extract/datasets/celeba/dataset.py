"""CelebA (Liu et al. 2015): faces of celebrities with forty binary attributes.

By default the label is blond hair and the spurious attribute is whether the celebrity is a man.

The root contains, itself, in one of FOLDERS, or in a folder that is found by these names:

    img_align_celeba/000001.jpg ...           also inside itself (Kaggle) or in Img/ (authors); or
                                              .png
    list_attr_celeba.txt or .csv              attributes; also in Anno/ (authors)
    list_eval_partition.txt or .csv           splits; also in Eval/ (authors); not needed if the
                                              list of attributes has a column of splits
    metadata_celeba.csv or metadata.csv       instead of the two lists: with the columns of labels
                                              and attributes of SubpopBench and DFR, or with those
                                              of all attributes (JTT)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int8

from clip_cfr.cache.format.schema import SPLIT_NAMES, Rows
from clip_cfr.extract.datasets.celeba.attribute_phrases import (
    PHRASES,
    find_attribute,
    make_names,
    make_prompts,
)
from clip_cfr.extract.datasets.celeba.list_files import read_list
from clip_cfr.extract.datasets.common.encode import encode_binary, encode_splits
from clip_cfr.extract.datasets.common.find_files import require_folder
from clip_cfr.extract.datasets.common.find_list import read_given_list
from clip_cfr.extract.datasets.common.image_paths import locate_images
from clip_cfr.extract.datasets.common.options import DatasetOptions, flag
from clip_cfr.extract.datasets.common.published_counts import compare_counts, count_groups
from clip_cfr.extract.datasets.layouts.folder_tree import FolderTree
from clip_cfr.extract.datasets.layouts.search import (
    Found,
    find_image_folder,
    find_published_file,
)
from clip_cfr.extract.datasets.tables.roles import ATTRIBUTE, FILENAME, LABEL, SPLIT, Role
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows

OPTIONS = ("metadata", "columns", "target", "spurious")
TARGET, SPURIOUS = "Blond_Hair", "Male"
FOLDERS = ("", "celeba/", "celebA/", "celebA_v1.0/", "data/")
IMAGES = ("img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba")
ATTRIBUTES = ("list_attr_celeba.txt", "list_attr_celeba.csv", "Anno/list_attr_celeba.txt")
PARTITIONS = ("list_eval_partition.txt", "list_eval_partition.csv", "Eval/list_eval_partition.txt")
# The list of SubpopBench, and the one that DFR and JTT derive from group DRO's lists.
METADATA = ("metadata_celeba.csv", "metadata.csv")
EXPECTED = "img_align_celeba/, list_attr_celeba.txt (or .csv) and list_eval_partition.txt (or .csv)"
# Rows of the groups (dark hair, woman), (dark hair, man), (blond hair, woman), (blond hair, man).
PUBLISHED = {
    "train": (71629, 66874, 22880, 1387),
    "val": (8535, 8276, 2874, 182),
    "test": (9767, 7535, 2480, 180),
}


@dataclass(frozen=True)
class Faces:
    """The list of images, and their splits.

    Attributes:
        table: the list of attributes or the metadata file.
        splits: split code of each entry: 0 train, 1 val, 2 test.
        warnings: where the lists are, if not at their published paths.
    """

    table: Table
    splits: Int8[np.ndarray, " n"]
    warnings: tuple[str, ...] = ()


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Read CelebA. The label is the presence of one attribute, the spurious attribute of another.

    Label and attribute are 1 where the attribute is present, otherwise 0. Splits are the published
    ones. A warning says if row counts are not.

    Raises:
        OptionError: --target or --spurious is not an attribute of CelebA, or the files on disk do
            not have it.
        ExtractError: a list or an image is missing, or a list is not valid.
    """
    require_folder(root, EXPECTED)
    tree = FolderTree(root)
    pair = choose_attributes(options)
    faces = read_faces(tree, options)
    rows = make_face_rows(faces, pair)
    published = [root / f"{folder}{name}" for folder in FOLDERS for name in IMAGES]
    folder = find_image_folder(tree, published, rows.ids)
    images = locate_images(folder.path, faces.table, rows.ids, skip_missing=options.skip_missing)
    faces.table.require_unique("image", images.paths)
    rows = replace(rows, ids=images.paths)
    target, spurious = pair
    return Manifest(
        dataset="celeba",
        rows=rows,
        images=FileSource(folder.path, rows.ids),
        class_names=make_names(target),
        attribute_names=make_names(spurious),
        class_prompts=make_prompts(target),
        attribute_prompts=make_prompts(spurious),
        warnings=(
            *faces.warnings,
            *folder.warnings,
            *images.warnings,
            *check_counts(rows, pair),
        ),
    )


def choose_attributes(options: DatasetOptions) -> tuple[str, str]:
    """Return CelebA's names of the attributes that are the label and the spurious attribute.

    These are the options `target` and `spurious`, by default TARGET and SPURIOUS.

    Raises:
        OptionError: an option is not an attribute of CelebA, or both are the same.
    """
    chosen = []
    for name, value in (("target", options.target), ("spurious", options.spurious)):
        default = {"target": TARGET, "spurious": SPURIOUS}[name]
        attribute = find_attribute(value or default)
        if attribute is None:
            raise OptionError(f"{flag(name)} is {value!r}, expected one of {', '.join(PHRASES)}")
        chosen.append(attribute)
    target, spurious = chosen
    if target == spurious:
        raise OptionError(
            f"--target and --spurious are both {target}, expected two different attributes"
        )
    return target, spurious


def read_faces(tree: FolderTree, options: DatasetOptions) -> Faces:
    """Read the list of attributes or a metadata file, and the list of partitions if it is needed.

    The list of partitions is needed if the first one has no column of splits. A list that the user
    names (`options.metadata`) must have one.

    Raises:
        ExtractError: a list is missing or not valid.
    """
    if options.metadata is not None:
        table = read_given_list(tree.root, options.metadata, options.columns)
        return Faces(table, encode_splits(table))
    found = find_published_file(tree, in_folders((*ATTRIBUTES, *METADATA)), EXPECTED)
    table = read_list(found.path, columns=options.columns)
    if table.find_candidates(SPLIT):
        return Faces(table, encode_splits(table), found.warnings)
    partitions = find_partitions(tree, found.path)
    listed = read_list(partitions.path, ("image_id", "partition"))
    warnings = (*found.warnings, *partitions.warnings)
    return Faces(table, match_splits(table, listed), warnings)


def in_folders(names: Sequence[str]) -> list[str]:
    """Return each name with each of FOLDERS in front, those of the first name first."""
    return [folder + name for name in names for folder in FOLDERS]


def find_partitions(tree: FolderTree, attributes: Path) -> Found:
    """Return the list of partitions that belongs to a list of attributes.

    It is in the folder of that list or the one above, also in `Eval/` there; else it is searched
    for in the tree.

    Args:
        tree: the folders of the data set.
        attributes: path of the list of attributes.

    Raises:
        ExtractError: there is none, or several are equally near.
    """
    beside = (attributes.parent, attributes.parent.parent)
    paths = [folder / name for folder in beside for name in PARTITIONS]
    path = next((path for path in paths if path.is_file()), None)
    return Found(path) if path else find_published_file(tree, in_folders(PARTITIONS), EXPECTED)


def read_image_names(table: Table) -> tuple[str, ...]:
    """Return the image names of a list, relative to the folder `img_align_celeba`.

    For example `000001.jpg` for `img_align_celeba/000001.jpg`; names without that folder are
    unchanged.

    Raises:
        ExtractError: the list has no column of image names.
    """
    return tuple(
        value.replace("\\", "/").rpartition("img_align_celeba/")[2]
        for value in table.column(FILENAME)
    )


def match_splits(table: Table, partitions: Table) -> Int8[np.ndarray, " n"]:
    """Return the split code of each image of a list, from the list of partitions.

    Args:
        table: the list.
        partitions: the list of partitions, in any order.

    Raises:
        ExtractError: an image is not in that list, or that list is not valid.
    """
    splits = dict(zip(read_image_names(partitions), encode_splits(partitions), strict=True))
    names = read_image_names(table)
    unknown = next((index for index, name in enumerate(names) if name not in splits), None)
    if unknown is not None:
        raise ExtractError(
            f"{table.location(unknown)}: the image {names[unknown]!r} has no row in "
            f"{partitions.path}, expected its split there; download that file again"
        )
    return np.array([splits[name] for name in names], np.int8)


def make_face_rows(faces: Faces, attributes: tuple[str, str]) -> Rows:
    """Return the rows, whose labels and attributes are two columns of the list.

    If the list has no columns called like the attributes, or the user names the columns, its
    columns of labels and attributes are used, as DFR and SubpopBench write them; they hold the
    default attributes. Ids are the image names.

    Args:
        faces: the list, and the splits.
        attributes: CelebA's names of the label and of the spurious attribute.

    Raises:
        OptionError: the list does not have the attributes.
        ExtractError: a value is neither 0 nor 1 (or -1 and 1).
    """
    table = faces.table
    roles = [Role(name) for name in attributes]
    is_assigned = LABEL.name in table.assigned or ATTRIBUTE.name in table.assigned
    if is_assigned or not all(table.find_candidates(role) for role in roles):
        require_default(table, attributes)
        roles = [LABEL, ATTRIBUTE]
    labels, spurious = (encode_binary(table, role) for role in roles)
    return make_rows(read_image_names(table), labels, spurious, faces.splits)


def require_default(table: Table, attributes: tuple[str, str]) -> None:
    """Raise OptionError unless the attributes are TARGET and SPURIOUS.

    Args:
        table: a list that has only these two, for the message.
        attributes: the wanted attributes.
    """
    if attributes != (TARGET, SPURIOUS):
        raise OptionError(
            f"{table.path} has {TARGET} and {SPURIOUS} only; for another --target or --spurious, "
            f"put one of {', '.join(ATTRIBUTES)} under --root"
        )


def check_counts(rows: Rows, attributes: tuple[str, str]) -> tuple[str, ...]:
    """Return warnings about row counts that differ from the published ones.

    Groups are compared for the default attributes, and whole splits for any other. Empty if the
    counts are equal.
    """
    found = count_groups(rows, 4, 2)
    if attributes == (TARGET, SPURIOUS):
        return compare_counts("celeba", found, PUBLISHED)
    return compare_counts(
        "celeba",
        {name: [sum(found[name])] for name in SPLIT_NAMES},
        {name: [sum(PUBLISHED[name])] for name in SPLIT_NAMES},
    )
