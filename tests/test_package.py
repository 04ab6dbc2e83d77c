"""The installed package: one importable name, complete, whatever lies beside it."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def packages_of_the_checkout() -> set[str]:
    """Return the dotted names of all folders that hold an `__init__.py`."""
    roots = [ROOT / each for each in ("cache", "calibrate", "extract")]
    found = [path.parent.relative_to(ROOT) for root in roots for path in root.rglob("__init__.py")]
    return {"clip_cfr", *(".".join(("clip_cfr", *path.parts)) for path in found)}


def test_setup_lists_every_package():
    listed = SETUP["options"]["packages"].split()
    assert listed == sorted(listed)
    assert set(listed) == packages_of_the_checkout()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel from a copy, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "checkout"
    copy.mkdir()
    for name in ("cache", "calibrate", "extract"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("__init__.py", "cli.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, copy]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    """A site-packages folder with the wheel and another package's `cli.py` and `cache/`."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    (folder / "cli.py").write_text("raise SystemExit('the cli of another package')\n")
    (folder / "cache").mkdir()
    (folder / "cache" / "__init__.py").write_text("raise SystemExit('another cache')\n")
    return folder


def run(site: Path, *words: str, cwd: Path) -> str:
    """Run Python with the site folder first on its path, from `cwd`."""
    code = f"import sys; sys.path.insert(0, {str(site)!r}); "
    command = [sys.executable, "-c", code + words[0], *words[1:]]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_one_importable_name(wheel):
    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"clip_cfr"}


@pytest.mark.parametrize(
    "name",
    [
        "cache/FORMAT.md",
        "cache/WORDS.md",
        "calibrate/bench/pytorch/pytorch_loop.py",
        "extract/tiny_clip/model.safetensors",
        "extract/tiny_clip/tokenizer.json",
        "extract/words/default_vocabulary.txt",
    ],
)
def test_the_wheel_holds_files_that_are_not_modules(wheel, name):
    with zipfile.ZipFile(wheel) as archive:
        assert f"clip_cfr/{name}" in archive.namelist()


def test_neither_a_cli_nor_a_cache_of_others_gets_in_the_way(site, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "__init__.py").write_text("raise SystemExit('a folder of the user')\n")
    code = "from clip_cfr.cli import main; main(['info', '-h'], prog_name='clip-cfr')"
    assert run(site, code, cwd=tmp_path).startswith("Usage: clip-cfr info [OPTIONS]")
    where = run(site, "import clip_cfr.cache.errors as e; print(e.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(site)
