"""A folder of your own images with a metadata file.

Layout of the root:

    metadata.csv    or any file given by --metadata: filename,label[,attribute][,split]
    a.jpg, b/c.png  images, at the paths in the column filename
"""

from dataclasses import replace
from pathlib import Path

from clip_cfr.extract.datasets.common.find_files import find_file
from clip_cfr.extract.datasets.common.image_paths import require_images
from clip_cfr.extract.datasets.common.metadata_manifest import make_manifest
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.tables.table import read_csv
from clip_cfr.extract.manifest.manifest import Manifest

OPTIONS = ("metadata", "seed")
EXPECTED = "your images, and --metadata to a CSV file with filename,label[,attribute][,split]"
NUMERIC_NAMES = (
    "folder: the class names are numbers, which do not describe images; "
    "set --class-names or --prompts"
)


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Read the images of a folder that a metadata file lists.

    Raises:
        ExtractError: if the metadata file or an image is missing, or the file is not valid.
    """
    table = read_csv(find_file(root, ["metadata.csv"], EXPECTED, options.metadata))
    manifest = make_manifest(
        table,
        dataset="folder",
        root=root,
        class_names=options.class_names,
        seed=options.seed,
    )
    require_images(root, table, manifest.rows.ids)
    if options.prompts is None and all(name.isdecimal() for name in manifest.class_names):
        return replace(manifest, warnings=(*manifest.warnings, NUMERIC_NAMES))
    return manifest
