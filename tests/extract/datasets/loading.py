"""Loading of a data set in tests, with options as keywords."""

from pathlib import Path

import pytest

from clip_cfr.extract.datasets import DatasetOptions, load_dataset
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.manifest import Manifest


def load(dataset: str, root: Path, **options) -> Manifest:
    """Return the manifest of a data set."""
    return load_dataset(dataset, root, DatasetOptions(**options))


def load_error(dataset: str, root: Path, kind: type[Exception] = ExtractError, **options) -> str:
    """Return the message of the exception that loading raises, with ROOT for the root."""
    with pytest.raises(kind) as error:
        load(dataset, root, **options)
    return str(error.value).replace(str(root), "ROOT")
