import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.atomic import find_temporaries, write_lock
from tests.extract.datasets import loading

load = partial(loading.load, "digits")
load_error = partial(loading.load_error, "digits")

CHECKOUT = Path(__file__).parents[4]


def read_files(root: Path) -> dict[str, bytes]:
    """Return the content of each file by its path relative to the root."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def differing_files(root: Path, other: Path) -> list[str]:
    """Return the paths whose content differs, or that only one of the roots has."""
    files, others = read_files(root), read_files(other)
    return sorted(path for path in files | others if files.get(path) != others.get(path))


def test_a_seed_renders_the_same_bytes(root, tmp_path):
    load(tmp_path / "again")
    assert differing_files(tmp_path / "again", root) == []


def test_rendered_digits_are_read_and_not_written(root, manifest):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert load(root).sha256() == manifest.sha256()
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_an_empty_folder_is_rendered_into(tmp_path, manifest, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    assert load(Path("empty")).sha256() == manifest.sha256()
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_killed_rendering_starts_again(root, tmp_path):
    target = tmp_path / "images"
    code = "import sys; from clip_cfr.extract.datasets import load_dataset; "
    code += "load_dataset('digits', sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", code, target], cwd=CHECKOUT)
    while not list(tmp_path.glob(".images.*.tmp/train/1")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert len(find_temporaries(target)) == 1
    assert not target.exists()

    load(target)
    assert differing_files(target, root) == []
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_folders_of_similar_names_are_kept(tmp_path):
    for name in ("images.partial", ".images.0123abcd.tmp"):
        (tmp_path / name / "train").mkdir(parents=True)
        (tmp_path / name / "train" / "mine.png").write_text("mine")
    load(tmp_path / "images")
    assert len(list(tmp_path.rglob("mine.png"))) == 2


def test_rejects_digits_of_another_seed(root):
    assert load_error(root, seed=7) == (
        'ROOT/rendering.json is {"dataset": "digits", "version": 1, "seed": 42}, '
        'expected {"dataset": "digits", "version": 1, "seed": 7}; delete the folder to render '
        "the digits again, or set --root to a new folder"
    )


def test_rejects_a_folder_with_other_files(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert load_error(tmp_path) == (
        "ROOT is neither empty nor a folder of rendered digits (no rendering.json); "
        "set --root to a new folder"
    )
    assert read_files(tmp_path) == {"notes.txt": b"mine"}


def test_rejects_a_root_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    assert load_error(tmp_path / "file") == (
        "ROOT is neither empty nor a folder of rendered digits (no rendering.json); "
        "set --root to a new folder"
    )


def test_rejects_a_root_that_cannot_be_created(tmp_path):
    (tmp_path / "file").write_text("")
    message = load_error(tmp_path / "file" / "images", CacheError)
    assert message.startswith("ROOT: cannot be written: File exists; ")


def test_rejects_two_renderings_at_once(tmp_path):
    root = tmp_path / "images"
    with write_lock(root):
        message = load_error(root, CacheError)
    assert message.startswith("ROOT: another process is writing this file; ")


def test_the_default_seed_is_42(root, manifest):
    assert load(root, seed=42).sha256() == manifest.sha256()
