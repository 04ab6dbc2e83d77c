"""open_clip with any build of torchvision, and small models of it on disk."""

import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Callable
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

import pytest
import torch

# `make setup` installs open_clip and its requirements here, out of the import path: a torchvision
# whose compiled part does not load would break every import of transformers.
INSTALLED = Path(sys.prefix) / "open-clip"
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
RESNET = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 64, "image_size": 64}
VIT = {"layers": 2, "width": 48, "head_width": 24, "patch_size": 16, "image_size": 64}


@pytest.fixture(scope="module")
def open_clip():
    """Import the library; processes of later tests do not inherit its path."""
    with pytest.MonkeyPatch.context() as patch:
        if PathFinder.find_spec("open_clip") is None and INSTALLED.is_dir():
            patch.setattr(sys, "path", [*sys.path, str(INSTALLED)])
            importlib.invalidate_caches()
        yield import_or_skip()


def import_or_skip() -> ModuleType:
    """Import the library; skip the test if it is not installed."""
    if importlib.util.find_spec("open_clip") is None:
        pytest.skip(f"open_clip is neither installed nor in {INSTALLED}, see `make setup`")
    declare_operators()
    return importlib.import_module("open_clip")


@cache
def declare_operators() -> torch.library.Library | None:
    """Declare the operators of torchvision if its compiled part was built for another torch.

    Its Python part, which is all that open_clip needs, can then be imported. For tests only.
    """
    (folder,) = importlib.util.find_spec("torchvision").submodule_search_locations
    try:
        torch.ops.load_library(str(next(Path(folder).glob("_C*.so"))))
        return None
    except OSError:
        text = (Path(folder) / "_meta_registrations.py").read_text()
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in set(re.findall(r'"torchvision::(\w+)"', text)):
            library.define(f"{name}(Tensor x) -> Tensor")
        return library


@pytest.fixture(scope="module")
def save_model(open_clip, tmp_path_factory) -> Callable[..., Path]:
    """Return a function that saves a random model as a folder, from its two configurations."""

    def save(vision: dict, preprocessing: dict | None = None, **options) -> Path:
        folder = tmp_path_factory.mktemp("open_clip")
        model_cfg = {"embed_dim": 40, "vision_cfg": vision, "text_cfg": TEXT, **options}
        configuration = {"model_cfg": model_cfg, "preprocess_cfg": preprocessing or {}}
        (folder / "open_clip_config.json").write_text(json.dumps(configuration))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
            # An untrained ResNet has weights of zero at the end of every residual branch.
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    torch.nn.init.uniform_(parameter, 0.5, 1.5)
        torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
        return folder

    return save


@pytest.fixture(scope="module")
def small_resnet(save_model) -> Path:
    """Return the folder of a small CLIP-ResNet; tests that change it work on a copy."""
    return save_model(RESNET)


@pytest.fixture(scope="module")
def small_vit(save_model) -> Path:
    """Return the folder of a small CLIP-ViT."""
    return save_model(VIT)
