"""MetaShift's cats and dogs (Liang and Zou 2022), indoors and outdoors."""

from pathlib import Path

import numpy as np
from jaxtyping import Int8

from clip_cfr.cache.format.schema import Rows
from clip_cfr.extract.datasets.common.csv_table import Table, read_csv
from clip_cfr.extract.datasets.common.image_paths import (
    first_file,
    first_folder,
    relative_paths,
    require_folder,
    require_images,
)
from clip_cfr.extract.datasets.common.metadata_columns import FILENAME, binary_rows
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.common.published_counts import differences
from clip_cfr.extract.datasets.common.random_splits import SEED
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows

OPTIONS = ("metadata", "seed")
FOLDER = "MetaShift-Cat-Dog-indoor-outdoor"
LIST = "metadata_metashift.csv"
EXPECTED = f"{FOLDER}/ (train/cat/cat(indoor)/ and its three fellows), or that folder itself"
# The label (1 a cat) and the attribute (1 indoors) of the images in each folder.
GROUPS = {
    "test/cat/cat(outdoor)": (1, 0),
    "test/dog/dog(indoor)": (0, 1),
    "train/cat/cat(indoor)": (1, 1),
    "train/dog/dog(outdoor)": (0, 0),
}
# Over all splits: how a list divides them depends on the machine that it was made on.
PUBLISHED = {"the whole": (1184, 773, 294, 1248)}
TEST_FRACTION, VAL_FRACTION = 0.25, 0.10


def load(root: Path, options: DatasetOptions) -> Manifest:
    """MetaShift; label 1 is a cat, attribute 1 an indoor scene.

    Raises:
        ExtractError: a folder, the list or an image is missing, or the list holds what it should
            not.
    """
    require_folder(root, EXPECTED)
    folder = first_folder(root, (FOLDER,))
    # SubpopBench writes its list beside the folder.
    path = options.metadata or first_file(folder, [LIST]) or first_file(folder.parent, [LIST])
    seed = SEED if options.seed is None else options.seed
    rows = found_rows(folder, seed) if path is None else listed_rows(folder, read_csv(path))
    drawn = () if path else (drawn_warning(seed),)
    return Manifest(
        dataset="metashift",
        rows=rows,
        images=FileSource(folder, rows.ids),
        class_names=("dog", "cat"),
        attribute_names=("outdoor", "indoor"),
        class_prompts=(("dog",), ("cat",)),
        attribute_prompts=(("a photo taken outdoors.",), ("a photo taken indoors.",)),
        warnings=drawn + differences("metashift", {"the whole": totals(rows)}, PUBLISHED),
    )


def listed_rows(folder: Path, table: Table) -> Rows:
    """The rows of a metadata file.

    Such files hold absolute paths of the machine that wrote them: what follows the folder's name
    in a path is looked for in the folder.
    """
    values = [value.rpartition(f"{FOLDER}/")[2] for value in table.column(*FILENAME)]
    paths = relative_paths(table, values)
    require_images(folder, table, paths)
    return binary_rows(table, paths)


def found_rows(folder: Path, seed: int) -> Rows:
    """The rows of all images in the four folders, sorted by path, with drawn splits."""
    groups = {path: group for name, group in GROUPS.items() for path in images_in(folder, name)}
    paths = sorted(groups)
    labels, attributes = zip(*(groups[path] for path in paths), strict=True)
    return make_rows(paths, labels, attributes, draw(len(paths), seed))


def images_in(folder: Path, name: str) -> list[str]:
    """The paths of the images in one of the four folders."""
    paths = [f"{name}/{path.name}" for path in (folder / name).glob("*.jpg")]
    if not paths:
        raise ExtractError(
            f"no images *.jpg in {folder / name}; give --root a folder with {EXPECTED}"
        )
    return paths


def draw(n: int, seed: int) -> Int8[np.ndarray, " n"]:
    """A split code for each row: a quarter test, then a tenth val, as SubpopBench draws them."""
    rng = np.random.RandomState(seed)
    test = rng.choice(np.arange(n), size=int(n * TEST_FRACTION), replace=False)
    rest = np.setdiff1d(np.arange(n), test)
    splits = np.zeros(n, np.int8)
    splits[test] = 2
    splits[rng.choice(rest, size=int(n * VAL_FRACTION), replace=False)] = 1
    return splits


def drawn_warning(seed: int) -> str:
    """What to know about splits that were drawn here."""
    return (
        f"metashift: no {LIST}, so the splits were drawn with seed {seed} over the images "
        "sorted by path; SubpopBench draws over the order of the file system, so its splits differ"
    )


def totals(rows: Rows) -> list[int]:
    """Rows of each group over all splits."""
    return np.bincount(rows.labels * 2 + rows.attributes, minlength=4).tolist()
