"""MetaShift (Liang and Zou 2022): cats and dogs, indoors and outdoors.

Layouts of the root:

    MetaShift-Cat-Dog-indoor-outdoor/    with the four folders of GROUPS; or this folder itself
    metadata_metashift.csv               in or beside that folder (SubpopBench); optional

The folder is also found deeper, by its name or by the folders in it.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int8

from clip_cfr.cache.format.schema import Rows
from clip_cfr.extract.datasets.common.binary_rows import read_binary_rows
from clip_cfr.extract.datasets.common.find_files import find_first_file, require_folder
from clip_cfr.extract.datasets.common.find_list import read_given_list
from clip_cfr.extract.datasets.common.folders import is_image_name, list_folder
from clip_cfr.extract.datasets.common.image_paths import locate_images, use_slashes
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.common.published_counts import compare_counts, count_groups
from clip_cfr.extract.datasets.common.random_splits import DEFAULT_SEED
from clip_cfr.extract.datasets.layouts.folder_tree import FolderTree
from clip_cfr.extract.datasets.tables.roles import FILENAME
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, Sentence, make_rows

OPTIONS = ("metadata", "columns", "seed")
FOLDER = "MetaShift-Cat-Dog-indoor-outdoor"
METADATA = "metadata_metashift.csv"
# The label (1 is a cat) and the attribute (1 is indoors) of the images in each folder.
GROUPS = {
    "test/cat/cat(outdoor)": (1, 0),
    "test/dog/dog(indoor)": (0, 1),
    "train/cat/cat(indoor)": (1, 1),
    "train/dog/dog(outdoor)": (0, 0),
}
EXPECTED = f"{FOLDER}/ (with {'/, '.join(GROUPS)}/), or to that folder itself"
# Rows of each group over all splits: the published splits depend on the order in which the file
# system of the machine lists the images.
PUBLISHED = (1184, 773, 294, 1248)
TEST_FRACTION, VAL_FRACTION = 0.25, 0.10


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Read MetaShift. Label 1 is a cat, 0 a dog; attribute 1 is indoors, 0 outdoors.

    Without a metadata file, the splits are drawn at random, and a warning says so.

    Raises:
        ExtractError: a folder, the metadata file or an image is missing, or the file is not valid.
    """
    require_folder(root, EXPECTED)
    folder = find_data_folder(root)
    rows, warnings = read_or_scan_rows(root, folder, options)
    return Manifest(
        dataset="metashift",
        rows=rows,
        images=FileSource(folder, rows.ids),
        class_names=("dog", "cat"),
        attribute_names=("outdoor", "indoor"),
        class_prompts=(("dog",), ("cat",)),
        attribute_prompts=(
            (Sentence("a photo taken outdoors."),),
            (Sentence("a photo taken indoors."),),
        ),
        warnings=(*warnings, *check_counts(rows)),
    )


def find_data_folder(root: Path) -> Path:
    """Return the folder of the data set: FOLDER in the root, if it exists.

    Otherwise the nearest folder, from the root on, that holds a folder of GROUPS; else the root.
    """
    if (root / FOLDER).is_dir():
        return root / FOLDER
    folders = (each.path for each in FolderTree(root).folders())
    return next((path for path in folders if any((path / name).is_dir() for name in GROUPS)), root)


def find_metadata(root: Path, folder: Path) -> Path | None:
    """Return the path of the metadata file in the data set's folder, beside it or in the root.

    None if there is none.
    """
    found = (find_first_file(each, [METADATA]) for each in (folder, folder.parent, root))
    return next((path for path in found if path is not None), None)


def read_or_scan_rows(
    root: Path, folder: Path, options: DatasetOptions
) -> tuple[Rows, tuple[str, ...]]:
    """Return the rows of the metadata file, or of all images with drawn splits, and warnings.

    Args:
        root: root folder.
        folder: folder of the data set.
        options: `metadata`, `columns`, `seed` and `skip_missing` are used.

    Raises:
        ExtractError: a folder, the metadata file or an image is missing, or the file is not valid.
    """
    metadata = options.metadata or find_metadata(root, folder)
    if metadata is not None:
        table = read_given_list(root, metadata, options.columns)
        return read_metadata_rows(folder, table, skip_missing=options.skip_missing)
    seed = DEFAULT_SEED if options.seed is None else options.seed
    warning = (
        f"metashift: no {METADATA} found; drew the splits with seed {seed} over the images sorted "
        "by path. SubpopBench draws over the order of the file system, so its splits differ"
    )
    return scan_rows(folder, seed), (warning,)


def read_metadata_rows(
    folder: Path, table: Table, *, skip_missing: bool = False
) -> tuple[Rows, tuple[str, ...]]:
    """Return the rows of a metadata file, and warnings.

    Published metadata files contain absolute paths of another machine. Only the part after the name
    of the data set's folder is used, relative to `folder`.

    Args:
        folder: folder of the data set.
        table: the metadata file.
        skip_missing: whether some images may be missing.

    Raises:
        ExtractError: an image is missing or listed twice, or a value is not one of those expected.
    """
    values = [use_slashes(value).rpartition(f"{FOLDER}/")[2] for value in table.column(FILENAME)]
    images = locate_images(folder, table, values, skip_missing=skip_missing)
    table.require_unique("image", images.paths)
    return read_binary_rows(table, images.paths), images.warnings


def scan_rows(folder: Path, seed: int) -> Rows:
    """Return the rows of all images in the four folders, sorted by path, with drawn splits.

    Labels and attributes are those of GROUPS.

    Raises:
        ExtractError: one of the folders has no images.
    """
    groups = {path: group for name, group in GROUPS.items() for path in list_images(folder, name)}
    paths = sorted(groups)
    labels, attributes = zip(*(groups[path] for path in paths), strict=True)
    return make_rows(paths, labels, attributes, draw_splits(len(paths), seed))


def list_images(folder: Path, name: str) -> list[str]:
    """Return the paths of the images in one of the four folders, relative to `folder`, unsorted.

    Subfolders are not searched.

    Args:
        folder: folder of the data set.
        name: a key of GROUPS, the path of the folder relative to `folder`.

    Raises:
        ExtractError: the folder is missing, cannot be listed, or has no images.
    """
    paths = [f"{name}/{each}" for each in list_folder(folder / name) if is_image_name(each)]
    if not paths:
        raise ExtractError(
            f"{folder / name} contains no images; set --root to a folder that contains {EXPECTED}"
        )
    return paths


def draw_splits(n: int, seed: int) -> Int8[np.ndarray, " n"]:
    """Draw a split code for each of n rows with the calls that SubpopBench makes.

    A quarter of all rows is test (2), a tenth val (1), both rounded down; the others are train (0).
    """
    rng = np.random.RandomState(seed)
    test = rng.choice(np.arange(n), size=int(n * TEST_FRACTION), replace=False)
    rest = np.setdiff1d(np.arange(n), test)
    splits = np.zeros(n, np.int8)
    splits[test] = 2
    splits[rng.choice(rest, size=int(n * VAL_FRACTION), replace=False)] = 1
    return splits


def check_counts(rows: Rows) -> tuple[str, ...]:
    """Return one warning if the row counts of the groups differ from the published ones.

    Counts are over all splits; empty if they are equal.
    """
    by_split = count_groups(rows, 4, 2).values()
    totals = [sum(counts) for counts in zip(*by_split, strict=True)]
    return compare_counts("metashift", {"the data set": totals}, {"the data set": PUBLISHED})
