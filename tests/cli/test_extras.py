import sys

import pytest
from click.testing import CliRunner

from clip_cfr.cli import main, missing_extra
from tests.samples import save_photos


@pytest.fixture
def photos(tmp_path):
    return save_photos(tmp_path / "photos", 20)


def extract(photos, model, out, *more):
    words = ["extract", "--dataset", "folder", "--root", photos, "--model", model, "--out", out]
    fixed = ["--device", "cpu", "--templates", "simple"]
    return CliRunner().invoke(main, [*map(str, words), *fixed, *more])


def test_an_extra_that_is_missing_is_named(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    result = extract(photos, "open-clip:RN50/openai", tmp_path / "out.h5")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: the package open_clip is missing; install it with: pip install "
        "'clip-cfr[extract,open-clip]'"
    )


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("torch", "extract"),
        ("transformers", "extract"),
        ("torchvision.transforms", "extract,open-clip"),
        ("timm", "extract,open-clip"),
    ],
)
def test_each_package_has_its_extra(package, extras):
    assert missing_extra(ModuleNotFoundError("", name=package)) == (
        f"the package {package} is missing; install it with: pip install 'clip-cfr[{extras}]'"
    )


def test_a_package_that_is_broken_is_not_called_missing():
    """As transformers reports a torchvision that was built for another torch."""
    inner = RuntimeError("operator torchvision::nms does not exist\nand more")
    outer = ModuleNotFoundError("Could not import module 'AutoImageProcessor'.")
    outer.__cause__ = inner
    assert missing_extra(outer) == (
        "an installed package cannot be imported (RuntimeError: operator torchvision::nms does not "
        "exist); install torch and torchvision together, of one release and one build, or remove "
        "torchvision where no model of open_clip is used"
    )
