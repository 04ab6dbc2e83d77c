"""Data sets: each module reads one from disk, in its published layout, into a manifest.

To add a data set, write one module in this package and add one line to DATASETS. The module has:

    OPTIONS: the fields of `DatasetOptions` that it supports, such as ("metadata", "seed").
        `class_names`, `prompts` and `val_fraction` need not be listed: every data set supports
        them.
    load(root: Path, options: DatasetOptions) -> Manifest: reads the data set. It raises
        `ExtractError` with the file, the row, what was expected and found, and what to do.

`tables/` reads lists of images in any usual form, `common/` has the other building blocks: image
paths, codes of labels and splits, drawn splits, published row counts. `archives/` does the same for
images that are in archives.
`waterbirds.py` is a complete example. A new option is a field of `DatasetOptions` and an option of
the command.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from clip_cfr.extract.datasets.common.options import DatasetOptions, check_supported
from clip_cfr.extract.errors import OptionError

if TYPE_CHECKING:
    from clip_cfr.extract.manifest.manifest import Manifest

# Module of each data set, relative to this package, by the name that users type.
DATASETS = {
    "digits": "digits.dataset",
    "waterbirds": "waterbirds",
    "celeba": "celeba.dataset",
    "metashift": "metashift",
    "chexpert": "chexpert.dataset",
    "cmnist": "cmnist.dataset",
    "folder": "folder",
    "webdataset": "webdataset.dataset",
    "parquet": "parquet.dataset",
}


def load_dataset(name: str, root: str | Path, options: DatasetOptions | None = None) -> "Manifest":
    """Read a data set from disk and return its manifest.

    The class names, prompts and val fraction of the options are applied. `digits` is rendered into
    the root if that is missing or empty. Images are located, but not decoded.

    Args:
        name: a key of DATASETS, in any case.
        root: folder of the data set, in one of the layouts that its module documents.
        options: options of the data set; by default none are set.

    Raises:
        OptionError: the data set does not exist or does not support an option, or the value of an
            option is not valid.
        ExtractError: the root does not hold the data set in its published layout.
        CacheError: the root of `digits` cannot be written.
    """
    # Imported here because it needs NumPy, while listing DATASETS on the command line does not.
    from clip_cfr.extract.datasets.common.finish import finish_manifest

    name = find_dataset(name)
    options = options or DatasetOptions()
    module = import_module(f"{__name__}.{DATASETS[name]}")
    check_supported(name, module.OPTIONS, options)
    return finish_manifest(module.load(Path(root), options), options)


def find_dataset(name: str) -> str:
    """Return the key of DATASETS that equals a name, ignoring case and surrounding white space.

    Raises:
        OptionError: there is none.
    """
    if name.strip().lower() not in DATASETS:
        raise OptionError(f"--dataset is {name!r}, expected one of {', '.join(DATASETS)}")
    return name.strip().lower()
