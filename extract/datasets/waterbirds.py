"""Waterbirds (Sagawa et al. 2020): birds of land and water, pasted before land and water."""

from pathlib import Path

from clip_cfr.extract.datasets.common.csv_table import read_csv
from clip_cfr.extract.datasets.common.image_paths import (
    find_file,
    first_folder,
    relative_paths,
    require_images,
)
from clip_cfr.extract.datasets.common.metadata_columns import FILENAME, binary_rows
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.common.published_counts import differences, group_counts
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest

OPTIONS = ("metadata",)
FOLDERS = ("waterbird_complete95_forest2water2", "waterbirds_v1.0")
# The last is SubpopBench's, which lies beside the folder of the images.
LISTS = ("metadata.csv", *(f"{name}/metadata.csv" for name in FOLDERS), "metadata_waterbirds.csv")
EXPECTED = (
    "waterbird_complete95_forest2water2/ (metadata.csv and a folder for each bird), "
    "or that folder itself, or WILDS' waterbirds_v1.0/"
)
PUBLISHED = {
    "train": (3498, 184, 56, 1057),
    "val": (467, 466, 133, 133),
    "test": (2255, 2255, 642, 642),
}


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Waterbirds; label 1 is a waterbird, attribute 1 a water background.

    Raises:
        ExtractError: the list or an image is missing, or the list holds what it should not.
    """
    table = read_csv(find_file(root, LISTS, EXPECTED, options.metadata))
    folder = first_folder(root, FOLDERS)
    paths = relative_paths(table, table.column(*FILENAME))
    rows = binary_rows(table, paths)
    require_images(folder, table, paths)
    return Manifest(
        dataset="waterbirds",
        rows=rows,
        images=FileSource(folder, paths),
        class_names=("landbird", "waterbird"),
        attribute_names=("land", "water"),
        class_prompts=(("landbird",), ("waterbird",)),
        attribute_prompts=(("land",), ("water",)),
        warnings=differences("waterbirds", group_counts(rows, 4, 2), PUBLISHED),
    )
