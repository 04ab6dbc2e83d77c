"""CelebA (Liu et al. 2015): faces of celebrities with forty binary attributes.

By default the label is blond hair and the spurious attribute is whether the celebrity is a man.

The root contains, itself or in one of FOLDERS:

    img_align_celeba/000001.jpg ...           also inside itself (Kaggle) or in Img/ (authors)
    list_attr_celeba.txt or .csv              attributes; also in Anno/ (authors)
    list_eval_partition.txt or .csv           splits; also in Eval/ (authors)
    metadata_celeba.csv or metadata.csv       instead of the two lists (SubpopBench, DFR)
"""

from dataclasses import replace
from pathlib import Path

from clip_cfr.cache.format.schema import SPLIT_NAMES, Rows
from clip_cfr.extract.datasets.celeba.attribute_phrases import PHRASES, make_names, make_prompts
from clip_cfr.extract.datasets.celeba.list_files import read_list
from clip_cfr.extract.datasets.common.binary_rows import read_binary_rows
from clip_cfr.extract.datasets.common.encode import encode_binary, encode_splits
from clip_cfr.extract.datasets.common.find_files import (
    find_file,
    find_first_file,
    find_first_folder,
    require_folder,
)
from clip_cfr.extract.datasets.common.image_paths import locate_images
from clip_cfr.extract.datasets.common.options import DatasetOptions, flag
from clip_cfr.extract.datasets.common.published_counts import compare_counts, count_groups
from clip_cfr.extract.datasets.tables.read_table import read_table
from clip_cfr.extract.datasets.tables.roles import FILENAME, Role
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows

OPTIONS = ("metadata", "columns", "target", "spurious")
TARGET, SPURIOUS = "Blond_Hair", "Male"
FOLDERS = ("celeba", "celebA", "celebA_v1.0", "data")
IMAGES = ("img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba")
ATTRIBUTES = ("list_attr_celeba.txt", "list_attr_celeba.csv", "Anno/list_attr_celeba.txt")
PARTITIONS = ("list_eval_partition.txt", "list_eval_partition.csv", "Eval/list_eval_partition.txt")
# SubpopBench's file, and the one that DFR and others derive from group DRO's lists. Both have the
# default label and attribute only.
METADATA = ("metadata_celeba.csv", "metadata.csv")
EXPECTED = "img_align_celeba/, list_attr_celeba.txt (or .csv) and list_eval_partition.txt (or .csv)"
# Rows of the groups (dark hair, woman), (dark hair, man), (blond hair, woman), (blond hair, man).
PUBLISHED = {
    "train": (71629, 66874, 22880, 1387),
    "val": (8535, 8276, 2874, 182),
    "test": (9767, 7535, 2480, 180),
}


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Read CelebA. The label is the presence of one attribute, the spurious attribute of another.

    Raises:
        OptionError: if --target or --spurious is not an attribute of CelebA, or the files on disk
            do not have it.
        ExtractError: if a list or an image is missing, or a list is not valid.
    """
    home = find_home(root)
    target, spurious = choose_attributes(options)
    attribute_list = None if options.metadata else find_first_file(home, ATTRIBUTES)
    if attribute_list:
        table = read_list(attribute_list)
        rows = read_attribute_rows(table, home, target, spurious)
    else:
        table = read_metadata(home, options)
        rows = read_binary_rows(table, read_image_names(table))
    folder = find_first_folder(home, IMAGES)
    images = locate_images(folder, table, rows.ids, skip_missing=options.skip_missing)
    table.require_unique("image", images.paths)
    rows = replace(rows, ids=images.paths)
    return Manifest(
        dataset="celeba",
        rows=rows,
        images=FileSource(folder, rows.ids),
        class_names=make_names(target),
        attribute_names=make_names(spurious),
        class_prompts=make_prompts(target),
        attribute_prompts=make_prompts(spurious),
        warnings=(*images.warnings, *check_counts(rows, (target, spurious))),
    )


def choose_attributes(options: DatasetOptions) -> tuple[str, str]:
    """Return CelebA's attributes that are the label and the spurious attribute."""
    target, spurious = options.target or TARGET, options.spurious or SPURIOUS
    for name, value in (("target", target), ("spurious", spurious)):
        if value not in PHRASES:
            raise OptionError(f"{flag(name)} is {value!r}, expected one of {', '.join(PHRASES)}")
    if target == spurious:
        raise OptionError(
            f"--target and --spurious are both {target}, expected two different attributes"
        )
    return target, spurious


def find_home(root: Path) -> Path:
    """Return the folder that holds the lists: the root, or one of FOLDERS in it."""
    require_folder(root, EXPECTED)
    homes = [root, *(root / name for name in FOLDERS)]
    return next((home for home in homes if find_first_file(home, (*ATTRIBUTES, *METADATA))), root)


def read_metadata(home: Path, options: DatasetOptions) -> Table:
    """Read a metadata file, which has the default label and spurious attribute only."""
    path = find_file(home, (*ATTRIBUTES, *METADATA), EXPECTED, options.metadata)
    if choose_attributes(options) != (TARGET, SPURIOUS):
        raise OptionError(
            f"{path} has {TARGET} and {SPURIOUS} only; for another --target or --spurious, put one "
            f"of {', '.join(ATTRIBUTES)} under --root"
        )
    return read_table(path, options.columns)


def read_image_names(table: Table) -> tuple[str, ...]:
    """Return the image names of a list, without the name of their folder if the list has it."""
    return tuple(value.rpartition("img_align_celeba/")[2] for value in table.column(FILENAME))


def read_attribute_rows(table: Table, home: Path, target: str, spurious: str) -> Rows:
    """Return the rows of the list of attributes, with splits from the list of partitions."""
    paths = read_image_names(table)
    partitions = read_list(find_file(home, PARTITIONS, EXPECTED), ("image_id", "partition"))
    codes = encode_splits(partitions)
    splits = dict(zip(read_image_names(partitions), codes, strict=True))
    unknown = next((index for index, path in enumerate(paths) if path not in splits), None)
    if unknown is not None:
        raise ExtractError(
            f"{table.location(unknown)}: the image {paths[unknown]!r} has no row in "
            f"{partitions.path}, expected its split there; download that file again"
        )
    return make_rows(
        ids=paths,
        labels=encode_binary(table, Role(target)),
        attributes=encode_binary(table, Role(spurious)),
        splits=[splits[path] for path in paths],
    )


def check_counts(rows: Rows, attributes: tuple[str, str]) -> tuple[str, ...]:
    """Return warnings about row counts that differ from the published ones.

    Groups are compared for the default attributes, and whole splits for any other.
    """
    found = count_groups(rows, 4, 2)
    if attributes == (TARGET, SPURIOUS):
        return compare_counts("celeba", found, PUBLISHED)
    return compare_counts(
        "celeba",
        {name: [sum(found[name])] for name in SPLIT_NAMES},
        {name: [sum(PUBLISHED[name])] for name in SPLIT_NAMES},
    )
