"""Waterbirds (Sagawa et al. 2020): land birds and water birds on land and water backgrounds.

Layouts of the root, below which the images have paths such as 001.Black_footed_Albatross/a.jpg:

    metadata.csv and the images                            the published folder itself
    waterbird_complete95_forest2water2/                    its parent folder (group DRO)
    waterbirds_v1.0/                                       its parent folder (WILDS)
    metadata_waterbirds.csv beside one of these folders    SubpopBench

List and images are also found a few folders deeper, or the list in the folder above.
"""

from pathlib import Path

from clip_cfr.extract.datasets.common.binary_rows import read_binary_rows
from clip_cfr.extract.datasets.common.image_paths import locate_images
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.common.published_counts import compare_counts, count_groups
from clip_cfr.extract.datasets.layouts.folder_tree import FolderTree
from clip_cfr.extract.datasets.layouts.search import find_image_folder, read_published_list
from clip_cfr.extract.datasets.tables.roles import FILENAME
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest

OPTIONS = ("metadata", "columns")
FOLDERS = ("waterbird_complete95_forest2water2", "waterbirds_v1.0")
METADATA = (
    "metadata.csv",
    *(f"{name}/metadata.csv" for name in FOLDERS),
    "metadata_waterbirds.csv",
)
EXPECTED = (
    "waterbird_complete95_forest2water2/ (metadata.csv and a folder for each bird), "
    "or to that folder itself, or to the parent of WILDS' waterbirds_v1.0/"
)
# Rows of the groups (land bird, land), (land bird, water), (water bird, land), (water bird, water).
PUBLISHED = {
    "train": (3498, 184, 56, 1057),
    "val": (467, 466, 133, 133),
    "test": (2255, 2255, 642, 642),
}


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Read Waterbirds. Label 1 is a water bird, attribute 1 a water background.

    Splits are those of the list. A warning says if the group sizes are not the published ones.

    Raises:
        ExtractError: the metadata file or an image is missing, or the file is not valid.
    """
    tree = FolderTree(root)
    table, warnings = read_published_list(tree, METADATA, EXPECTED, options)
    names = table.column(FILENAME)
    published = [*(root / name for name in FOLDERS), root, table.path.parent]
    folder = find_image_folder(tree, published, names)
    images = locate_images(folder.path, table, names, skip_missing=options.skip_missing)
    table.require_unique("image", images.paths)
    rows = read_binary_rows(table, images.paths)
    return Manifest(
        dataset="waterbirds",
        rows=rows,
        images=FileSource(folder.path, images.paths),
        class_names=("landbird", "waterbird"),
        attribute_names=("land", "water"),
        class_prompts=(("landbird",), ("waterbird",)),
        attribute_prompts=(("land",), ("water",)),
        warnings=(
            *warnings,
            *folder.warnings,
            *images.warnings,
            *compare_counts("waterbirds", count_groups(rows, 4, 2), PUBLISHED),
        ),
    )
