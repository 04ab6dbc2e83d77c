"""Missing packages: which extra, which environment."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from clip_cfr.cache.packages import missing_package
from clip_cfr.cli import main
from tests.samples import save_photos

ROOT = Path(__file__).parents[2]


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
        ("pandas", "frame"),
        ("openpyxl", "xlsx"),
        ("plotly.offline", "report"),
        ("umap", "report,umap"),
        ("tensorboard.plugins.hparams", "track"),
        ("mlflow", "mlflow"),
    ],
)
def test_each_package_has_its_extra(package, extras):
    assert missing_package(ModuleNotFoundError("", name=package)) == (
        f"the package {package} is missing; install it with: pip install 'clip-cfr[{extras}]'"
    )


def test_a_package_that_is_broken_is_not_called_missing():
    """As transformers reports a torchvision that was built for another torch."""
    inner = RuntimeError("operator torchvision::nms does not exist\nand more")
    outer = ModuleNotFoundError("Could not import module 'AutoImageProcessor'.")
    outer.__cause__ = inner
    assert missing_package(outer) == (
        "an installed package cannot be imported (RuntimeError: operator torchvision::nms does not "
        "exist); install torch and torchvision together, of one release and one build, or remove "
        "torchvision where no model of open_clip is used"
    )


def test_a_package_of_every_installation_is_not_an_extra():
    assert missing_package(ModuleNotFoundError("", name="h5py")) == (
        f"the package h5py is missing from {sys.executable}; run the Python that has it "
        f"(.venv/bin/python after `make setup`), or install it with: {sys.executable} -m pip "
        f"install {ROOT}"
    )


def test_without_any_package_the_first_line_says_what_to_do(tmp_path):
    """As `python cli.py` run outside of the environment."""
    command = [sys.executable, "-I", "-S", ROOT / "cli.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: the package click is missing from {sys.executable}; ")
    assert len(done.stderr.splitlines()) == 1


def test_the_demo_names_its_extra_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "demo")])
    assert result.exit_code == 1
    assert result.output == (
        "Error: the package torch is missing; install it with: pip install 'clip-cfr[extract]'\n"
    )
    assert not (tmp_path / "demo").exists()
