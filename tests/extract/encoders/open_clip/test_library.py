import importlib

import pytest
import torch

from clip_cfr.extract.encoders.open_clip import library
from clip_cfr.extract.errors import ExtractError


def failing(monkeypatch, error: Exception) -> None:
    """Lets the import of open_clip fail."""

    def fail(name):
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    monkeypatch.setattr(library.metadata, "version", lambda name: "0.28.0")


@pytest.mark.parametrize("kind", [RuntimeError, ImportError, OSError])
def test_a_torchvision_that_does_not_fit_is_one_clear_line(monkeypatch, kind):
    failing(monkeypatch, kind("operator torchvision::nms does not exist\nand more"))
    with pytest.raises(ExtractError) as caught:
        library.open_clip()
    assert str(caught.value) == (
        "torchvision 0.28.0, which open_clip needs, does not work beside torch "
        f"{torch.__version__} (operator torchvision::nms does not exist); install the pair of one "
        "release and one build (CPU or CUDA) together from one index: pip install "
        "--force-reinstall torch torchvision"
    )


def test_what_is_not_installed_is_left_to_the_command_line(monkeypatch):
    failing(monkeypatch, ModuleNotFoundError("no", name="open_clip"))
    with pytest.raises(ModuleNotFoundError):
        library.open_clip()
