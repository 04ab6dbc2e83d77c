"""The rendered digits, which several modules read."""

from pathlib import Path

import pytest

from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.manifest.manifest import Manifest


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    """A root of the digits of the default seed; a test that changes it renders its own."""
    root = tmp_path_factory.mktemp("digits") / "images"
    load_dataset("digits", root)
    return root


@pytest.fixture(scope="session")
def manifest(root) -> Manifest:
    return load_dataset("digits", root)
