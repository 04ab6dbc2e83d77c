"""CelebA (Liu et al. 2015): by default blond hair, and whether the celebrity is a man."""

from pathlib import Path

from clip_cfr.cache.format.schema import SPLIT_NAMES, Rows
from clip_cfr.extract.datasets.celeba.attribute_phrases import PHRASES, names, prompts
from clip_cfr.extract.datasets.celeba.list_files import read_list
from clip_cfr.extract.datasets.common.csv_table import Table, read_csv
from clip_cfr.extract.datasets.common.image_paths import (
    find_file,
    first_file,
    first_folder,
    relative_paths,
    require_folder,
    require_images,
)
from clip_cfr.extract.datasets.common.metadata_columns import FILENAME, SPLIT_CODES, binary_rows
from clip_cfr.extract.datasets.common.options import DatasetOptions, flag
from clip_cfr.extract.datasets.common.published_counts import differences, group_counts
from clip_cfr.extract.errors import ExtractError, OptionError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows

OPTIONS = ("metadata", "target", "spurious")
TARGET, SPURIOUS = "Blond_Hair", "Male"
FOLDERS = ("celeba", "celebA", "celebA_v1.0", "data")
IMAGES = ("img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba")
ATTRIBUTES = ("list_attr_celeba.txt", "list_attr_celeba.csv", "Anno/list_attr_celeba.txt")
PARTITIONS = ("list_eval_partition.txt", "list_eval_partition.csv", "Eval/list_eval_partition.txt")
# SubpopBench's, and what DFR and others derive from group DRO's lists: these two attributes only.
METADATA = ("metadata_celeba.csv", "metadata.csv")
EXPECTED = "img_align_celeba/, list_attr_celeba.txt (or .csv) and list_eval_partition.txt (or .csv)"
PRESENCE = {"-1": 0, "0": 0, "1": 1}
PUBLISHED = {
    "train": (71629, 66874, 22880, 1387),
    "val": (8535, 8276, 2874, 182),
    "test": (9767, 7535, 2480, 180),
}


def load(root: Path, options: DatasetOptions) -> Manifest:
    """CelebA; the label is one attribute's presence, the spurious attribute another's.

    Raises:
        OptionError: --target or --spurious is none of CelebA's attributes, or not to be had.
        ExtractError: a list or an image is missing, or a list holds what it should not.
    """
    home = home_of(root)
    target, spurious = pair(options)
    lists = None if options.metadata else first_file(home, ATTRIBUTES)
    if lists:
        table = read_list(lists)
        rows = attribute_rows(table, home, target, spurious)
    else:
        table = read_metadata(home, options)
        rows = binary_rows(table, image_paths(table))
    folder = first_folder(home, IMAGES)
    require_images(folder, table, rows.ids)
    return Manifest(
        dataset="celeba",
        rows=rows,
        images=FileSource(folder, rows.ids),
        class_names=names(target),
        attribute_names=names(spurious),
        class_prompts=prompts(target),
        attribute_prompts=prompts(spurious),
        warnings=count_warnings(rows, (target, spurious)),
    )


def pair(options: DatasetOptions) -> tuple[str, str]:
    """The attributes that are the label and the spurious attribute."""
    target, spurious = options.target or TARGET, options.spurious or SPURIOUS
    for name, value in (("target", target), ("spurious", spurious)):
        if value not in PHRASES:
            raise OptionError(f"{flag(name)} is {value!r}, expected one of {', '.join(PHRASES)}")
    if target == spurious:
        raise OptionError(f"--target and --spurious are both {target}, expected two attributes")
    return target, spurious


def home_of(root: Path) -> Path:
    """The root, or the folder below it that holds the lists."""
    require_folder(root, EXPECTED)
    homes = [root, *(root / name for name in FOLDERS)]
    return next((home for home in homes if first_file(home, (*ATTRIBUTES, *METADATA))), root)


def read_metadata(home: Path, options: DatasetOptions) -> Table:
    """The table of a metadata file, which knows one pair of attributes only."""
    path = find_file(home, (*ATTRIBUTES, *METADATA), EXPECTED, options.metadata)
    if pair(options) != (TARGET, SPURIOUS):
        raise OptionError(
            f"{path} holds {TARGET} and {SPURIOUS} only; "
            f"--target and --spurious need one of {', '.join(ATTRIBUTES)} under --root"
        )
    return read_csv(path)


def image_paths(table: Table) -> tuple[str, ...]:
    """The images of a list, without the name of their folder where some lists write it."""
    values = [value.rpartition("img_align_celeba/")[2] for value in table.column(*FILENAME)]
    return relative_paths(table, values)


def attribute_rows(table: Table, home: Path, target: str, spurious: str) -> Rows:
    """The rows of the list of attributes, with the splits of the list of partitions."""
    paths = image_paths(table)
    partition = read_list(find_file(home, PARTITIONS, EXPECTED), ("image_id", "partition"))
    ids = image_paths(partition)
    splits = dict(zip(ids, partition.coded(SPLIT_CODES, "partition"), strict=True))
    unknown = next((index for index, path in enumerate(paths) if path not in splits), None)
    if unknown is not None:
        raise ExtractError(
            f"{table.place(unknown)}: the image {paths[unknown]!r} has no split in {partition.path}"
        )
    return make_rows(
        ids=paths,
        labels=table.coded(PRESENCE, target),
        attributes=table.coded(PRESENCE, spurious),
        splits=[splits[path] for path in paths],
    )


def count_warnings(rows: Rows, attributes: tuple[str, str]) -> tuple[str, ...]:
    """What differs from the published numbers: by group for the usual pair, else by split."""
    found = group_counts(rows, 4, 2)
    if attributes == (TARGET, SPURIOUS):
        return differences("celeba", found, PUBLISHED)
    return differences(
        "celeba",
        {name: [sum(found[name])] for name in SPLIT_NAMES},
        {name: [sum(PUBLISHED[name])] for name in SPLIT_NAMES},
    )
