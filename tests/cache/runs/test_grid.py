"""Grid folders: created, refused, written atomically, read back."""

import functools
import json
import resource
import tempfile
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import RDBStorage

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


@functools.cache
def study_bytes(mark: str | None) -> bytes:
    """Return an Optuna database whose study has a trial, and the mark of a program."""
    with tempfile.TemporaryDirectory() as folder:
        storage = RDBStorage(f"sqlite:///{folder}/study.db")
        study = optuna.create_study(storage=storage)
        study.ask()
        if mark:
            study.set_user_attr(mark, {})
        storage.remove_session()
        storage.engine.dispose()
        return Path(folder, "study.db").read_bytes()


def make_study(path: Path, mark: str | None = "clip-cfr") -> None:
    path.write_bytes(study_bytes(mark))


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
        make_study(folder / "study.db")
        before = (folder / "study.db").read_bytes()
        make_grid_folder(folder, overwrite=False)
        assert (folder / "study.db").read_bytes() == before

    def test_keeps_the_result_until_the_new_one_is_written(self, tmp_path):
        write_grid(tmp_path, RESULT, LEADERBOARD)
        make_study(tmp_path / "study.db")
        (tmp_path / "study.db-journal").touch()
        for count in (1, 2):  # The second time after a kill.
            make_grid_folder(tmp_path, overwrite=True)
            assert not (tmp_path / "study.db").exists()
            assert len(list(tmp_path.glob(".study.db.*.old/study.db"))) == count
            assert read_grid(tmp_path) == RESULT
            make_study(tmp_path / "study.db")
        write_grid(tmp_path, RESULT | {"digest": "11"}, LEADERBOARD)
        found = sorted(path.name for path in tmp_path.iterdir())
        assert found == ["grid.json", "leaderboard.csv", "study.db"]

    def test_with_foreign_files_is_not_replaced(self, tmp_path):
        write_grid(tmp_path, RESULT, LEADERBOARD)
        (tmp_path / "notes.txt").write_text("mine")
        make_grid_folder(tmp_path, overwrite=False)
        assert refusal(make_grid_folder, tmp_path, True) == (
            f"{tmp_path}: the grid folder holds notes.txt, which is not part of the grid; move it "
            "away or name another folder"
        )
        assert (tmp_path / "notes.txt").read_text() == "mine"

    @pytest.mark.parametrize("overwrite", [True, False])
    @pytest.mark.parametrize("name", ["grid.json", "study.db", "leaderboard.csv"])
    def test_with_files_of_these_names_alone_is_refused(self, tmp_path, overwrite, name):
        (tmp_path / name).write_text('{"levels": [1, 2]}')
        expected = f"{tmp_path}: exists and is not a grid folder; name another one"
        assert refusal(make_grid_folder, tmp_path, overwrite) == expected
        assert (tmp_path / name).read_text() == '{"levels": [1, 2]}'

    def test_with_the_study_of_another_program_is_refused(self, tmp_path):
        make_study(tmp_path / "study.db", mark=None)
        expected = f"{tmp_path}: exists and is not a grid folder; name another one"
        for overwrite in (True, False):
            assert refusal(make_grid_folder, tmp_path, overwrite) == expected
        write_grid(tmp_path, RESULT, LEADERBOARD)
        assert "holds study.db, which is not" in refusal(make_grid_folder, tmp_path, True)

    def test_with_a_damaged_study_is_replaced(self, tmp_path):
        make_study(tmp_path / "study.db")
        data = bytearray((tmp_path / "study.db").read_bytes())
        data[100:120] = bytes(20)  # The first page of the schema.
        (tmp_path / "study.db").write_bytes(data)
        make_grid_folder(tmp_path, overwrite=True)
        assert not (tmp_path / "study.db").exists()

    @pytest.mark.parametrize("overwrite", [True, False])
    def test_with_something_else_is_refused(self, tmp_path, overwrite):
        (tmp_path / "run.json").touch()
        expected = f"{tmp_path}: exists and is not a grid folder; name another one"
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
