"""Grid folders: made, refused, written whole."""

import json
import resource

import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.runs.grid import make_grid_folder, refuse_other_grid, write_grid

RESULT = {"digest": "00", "points": [{"val": None, "test": {"average": 0.5}}]}
BOARD = {"lr": np.array([0.1, None], object), "reason": np.array([None, 'a, "b"'], object)}


def refusal(action, *arguments) -> str:
    with pytest.raises(CacheError) as error:
        action(*arguments)
    return str(error.value)


class TestFolder:
    def test_is_made_and_taken_again(self, tmp_path):
        for _ in range(2):
            make_grid_folder(tmp_path / "runs" / "grid", overwrite=False)
        (tmp_path / "runs" / "grid" / "study.db").write_text("kept")
        make_grid_folder(tmp_path / "runs" / "grid", overwrite=False)
        assert (tmp_path / "runs" / "grid" / "study.db").read_text() == "kept"

    def test_is_emptied_of_a_grid_alone(self, tmp_path):
        names = ("study.db", "study.db-journal", "grid.json", "leaderboard.csv")
        for name in (*names, "notes.txt"):
            (tmp_path / name).write_text("old")
        make_grid_folder(tmp_path, overwrite=True)
        assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]

    @pytest.mark.parametrize("overwrite", [True, False])
    def test_that_holds_something_else_is_refused(self, tmp_path, overwrite):
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
        found = refusal(make_grid_folder, tmp_path / "file" / "grid", False)
        assert found.endswith(f"expected {tmp_path / 'file'} to be a folder; name another one")


class TestResult:
    def test_is_written_beside_its_board(self, tmp_path):
        for _ in range(2):
            write_grid(tmp_path, RESULT, BOARD)
        assert json.loads((tmp_path / "grid.json").read_text()) == RESULT
        board = (tmp_path / "leaderboard.csv").read_text()
        assert board == 'lr,reason\n0.1,\n,"a, ""b"""\n'
        assert len(list(tmp_path.iterdir())) == 2

    def test_of_another_grid_is_left_alone(self, tmp_path):
        refuse_other_grid(tmp_path, "00")
        write_grid(tmp_path, RESULT, BOARD)
        refuse_other_grid(tmp_path, "00")
        assert refusal(refuse_other_grid, tmp_path, "11") == (
            f"{tmp_path / 'grid.json'}: is of another grid (00, this is 11); "
            "name another folder with --out"
        )

    def test_that_is_damaged_is_named(self, tmp_path):
        (tmp_path / "grid.json").write_text("{")
        found = refusal(refuse_other_grid, tmp_path, "00")
        assert found.startswith(f"{tmp_path / 'grid.json'}: grid.json: expected a JSON object")
        assert found.endswith("; name another folder with --out")

    def test_that_does_not_fit_on_the_disk_leaves_the_old_one(self, tmp_path):
        write_grid(tmp_path, RESULT, BOARD)
        before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            large = {"lr": np.arange(1000)}
            found = refusal(write_grid, tmp_path, RESULT, large)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert found == (
            f"{tmp_path / 'leaderboard.csv'}: cannot be written: File too large; the study keeps "
            "what is finished; make room and run the same command again"
        )
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
