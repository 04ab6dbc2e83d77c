"""Grid folders: created, refused, written atomically, read back."""

import json
import resource
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.runs.grid import (
    check_same_grid,
    default_grid_directory,
    make_grid_folder,
    read_grid,
    write_grid,
)

RESULT = {"digest": "00", "points": [{"val": None, "test": {"average": 0.5}}]}
LEADERBOARD = {"lr": np.array([0.1, None], object), "reason": np.array([None, 'a, "b"'], object)}


def refusal(function, *arguments) -> str:
    """Return the message of the CacheError that a call raises."""
    with pytest.raises(CacheError) as error:
        function(*arguments)
    return str(error.value)


class TestDefaultName:
    def test_is_that_of_the_first_digest(self):
        assert default_grid_directory("toy", ["new", "old"]) == Path("runs/toy-grid-new")

    @pytest.mark.parametrize(
        ("existing", "expected"), [(["old"], "old"), (["old", "new"], "new"), (["other"], "new")]
    )
    def test_is_that_of_an_existing_folder(self, tmp_path, monkeypatch, existing, expected):
        monkeypatch.chdir(tmp_path)
        for digest in existing:
            (tmp_path / "runs" / f"toy-grid-{digest}").mkdir(parents=True)
        found = default_grid_directory("toy", ["new", "old"])
        assert found == Path("runs") / f"toy-grid-{expected}"


class TestFolder:
    def test_is_created_and_used_again(self, tmp_path):
        folder = tmp_path / "runs" / "grid"
        for _ in range(2):
            make_grid_folder(folder, overwrite=False)
        (folder / "study.db").write_text("kept")
        make_grid_folder(folder, overwrite=False)
        assert (folder / "study.db").read_text() == "kept"

    def test_loses_the_files_of_a_grid_only(self, tmp_path):
        names = ("study.db", "study.db-journal", "grid.json", "leaderboard.csv")
        for name in (*names, "notes.txt"):
            (tmp_path / name).write_text("old")
        make_grid_folder(tmp_path, overwrite=True)
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    @pytest.mark.parametrize("overwrite", [True, False])
    def test_with_something_else_is_refused(self, tmp_path, overwrite):
        (tmp_path / "run.json").touch()
        expected = f"{tmp_path}: exists and is no grid folder; name another one"
        assert refusal(make_grid_folder, tmp_path, overwrite) == expected
        assert (tmp_path / "run.json").exists()

    def test_that_is_a_file_is_refused(self, tmp_path):
        path = tmp_path / "file"
        path.touch()
        expected = f"{path}: expected a folder, found a file; name another one"
        assert refusal(make_grid_folder, path, False) == expected

    def test_below_a_file_is_refused(self, tmp_path):
        (tmp_path / "file").touch()
        message = refusal(make_grid_folder, tmp_path / "file" / "grid", False)
        assert message.endswith(f"expected {tmp_path / 'file'} to be a folder; name another one")


class TestResult:
    def test_is_written_beside_its_leaderboard(self, tmp_path):
        for _ in range(2):
            write_grid(tmp_path, RESULT, LEADERBOARD)
        assert json.loads((tmp_path / "grid.json").read_text()) == RESULT
        leaderboard = (tmp_path / "leaderboard.csv").read_text()
        assert leaderboard == 'lr,reason\n0.1,\n,"a, ""b"""\n'
        assert len(list(tmp_path.iterdir())) == 2

    def test_is_read_back(self, tmp_path):
        write_grid(tmp_path, RESULT, LEADERBOARD)
        assert read_grid(tmp_path) == RESULT

    def test_that_is_missing_is_named(self, tmp_path):
        assert refusal(read_grid, tmp_path) == (
            f"{tmp_path / 'grid.json'}: cannot be read: No such file or directory; expected the "
            "folder of a finished grid"
        )

    def test_of_another_grid_is_kept(self, tmp_path):
        check_same_grid(tmp_path, ["00"])
        write_grid(tmp_path, RESULT, LEADERBOARD)
        check_same_grid(tmp_path, ["00"])
        check_same_grid(tmp_path, ["11", "00"])
        assert refusal(check_same_grid, tmp_path, ["11", "22"]) == (
            f"{tmp_path / 'grid.json'}: belongs to another grid: the digest is 00, here 11; "
            "name another folder with --out"
        )

    def test_that_is_damaged_is_named(self, tmp_path):
        (tmp_path / "grid.json").write_text("{")
        message = refusal(check_same_grid, tmp_path, ["00"])
        assert message.startswith(f"{tmp_path / 'grid.json'}: grid.json: expected a JSON object")
        assert message.endswith("; name another folder with --out")

    def test_on_a_full_disk_keeps_the_old_one(self, tmp_path):
        write_grid(tmp_path, RESULT, LEADERBOARD)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            message = refusal(write_grid, tmp_path, RESULT, {"lr": np.arange(1000)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert message == (
            f"{tmp_path / 'leaderboard.csv'}: cannot be written: File too large; the study keeps "
            "finished points; make room and run the same command again"
        )
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
