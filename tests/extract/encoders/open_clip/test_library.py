import importlib

import pytest
import torch

from clip_cfr.extract.encoders.open_clip import library
from clip_cfr.extract.errors import ExtractError


def fail_import(monkeypatch, error: Exception) -> None:
    """Make the import of open_clip raise an exception."""

    def raise_error(name):
        raise error

    monkeypatch.setattr(importlib, "import_module", raise_error)
    monkeypatch.setattr(library.metadata, "version", lambda name: "0.28.0")


@pytest.mark.parametrize("kind", [RuntimeError, ImportError, OSError])
def test_an_incompatible_torchvision_is_one_line(monkeypatch, kind):
    fail_import(monkeypatch, kind("operator torchvision::nms does not exist\nand more"))
    with pytest.raises(ExtractError) as caught:
        library.import_open_clip()
    assert str(caught.value) == (
        "torchvision 0.28.0, which open_clip needs, does not work with torch "
        f"{torch.__version__} (operator torchvision::nms does not exist); install the pair of one "
        "release and one build (CPU or CUDA) together from one index: pip install "
        "--force-reinstall torch torchvision"
    )


def test_a_missing_package_raises_module_not_found(monkeypatch):
    fail_import(monkeypatch, ModuleNotFoundError("no", name="open_clip"))
    with pytest.raises(ModuleNotFoundError):
        library.import_open_clip()
