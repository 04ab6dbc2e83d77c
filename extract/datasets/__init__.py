"""The data sets: each module turns one, as it is published, into a manifest."""

from importlib import import_module
from pathlib import Path

from clip_cfr.extract.datasets.common.options import DatasetOptions, refuse_unknown
from clip_cfr.extract.datasets.common.overrides import with_class_names, with_prompts
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.manifest.manifest import Manifest

# The module of each data set.
DATASETS = {
    "digits": "digits.dataset",
    "waterbirds": "waterbirds",
    "celeba": "celeba.dataset",
    "metashift": "metashift",
    "chexpert": "chexpert.dataset",
    "cmnist": "cmnist.dataset",
    "folder": "folder",
}


def load_dataset(name: str, root: Path, options: DatasetOptions) -> Manifest:
    """The manifest of a data set that lies under a root.

    A module of this package has the options that it takes in `OPTIONS`, and
    `load(root, options) -> Manifest`.

    Raises:
        OptionError: the data set, or one of its options, is unknown.
        ExtractError: what lies under the root is not the data set as published.
    """
    if name not in DATASETS:
        raise OptionError(f"no data set is called {name!r}, expected one of {', '.join(DATASETS)}")
    module = import_module(f"clip_cfr.extract.datasets.{DATASETS[name]}")
    refuse_unknown(name, module.OPTIONS, options)
    manifest = module.load(root, options)
    if options.class_names is not None:
        manifest = with_class_names(manifest, options.class_names)
    if options.prompts is not None:
        manifest = with_prompts(manifest, options.prompts)
    return manifest
