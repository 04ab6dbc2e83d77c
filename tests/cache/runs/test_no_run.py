"""Paths that were given for a run folder and are something else."""

from pathlib import Path

import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.kinds import CACHE, WORDS
from clip_cfr.cache.runs.run import Run, read_run, write_run

NAME = "name a folder that calibrate wrote"


@pytest.fixture(autouse=True)
def called_as_installed(monkeypatch):
    monkeypatch.setattr("sys.argv", ["clip-cfr"])


def message_of(path: Path) -> str:
    with pytest.raises(CacheError) as error:
        read_run(path)
    return str(error.value)


def write_hdf5(path: Path, kind) -> Path:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + kind.format.encode())
    return path


def test_a_missing_folder_and_one_of_other_files(tmp_path):
    missing = tmp_path / "nosuch"
    assert message_of(missing) == f"{missing}: no such folder; {NAME}"
    (tmp_path / "a.png").touch()
    assert message_of(tmp_path) == f"{tmp_path}: expected a run folder, found no run.json; {NAME}"
    assert message_of(tmp_path / "a.png") == f"{tmp_path}/a.png is a file, not a run folder; {NAME}"


def test_a_cache_and_words(tmp_path):
    cache, words = (write_hdf5(tmp_path / each.noun, each) for each in (CACHE, WORDS))
    assert message_of(cache) == (
        f"{cache} is a feature cache, not a run folder; {NAME}, or calibrate it: clip-cfr "
        f"calibrate --cache '{cache}'"
    )
    assert message_of(words) == f"{words} is a words file, not a run folder; {NAME}"


def test_the_folders_of_grids_trials_and_studies(tmp_path):
    for name in ("grid", "trials", "study"):
        (tmp_path / name).mkdir()
    (tmp_path / "grid" / "grid.json").write_text('{"digest": "0a", "points": []}')
    assert message_of(tmp_path / "grid") == (
        f"{tmp_path}/grid is a grid folder, which holds no heads; calibrate with its best point by "
        f"the command that is printed by: clip-cfr show {tmp_path}/grid"
    )
    for path in ("trials/study.db", "study/points.db"):
        (tmp_path / path).touch()  # An empty file is a study without tables.
    assert message_of(tmp_path / "trials") == (
        f"{tmp_path}/trials holds the trials of a grid or of --tune, not a run; {NAME}"
    )
    assert message_of(tmp_path / "study") == (
        f"{tmp_path}/study is a study folder, not a run folder; the same study command prints its "
        f"table again, or {NAME}"
    )


def test_a_folder_above_a_run_and_a_file_in_one(tmp_path):
    write_run(tmp_path / "run", Run(config={}, provenance={}, metrics={}))
    assert message_of(tmp_path) == (
        f"{tmp_path} is not a run folder; name one in it, such as {tmp_path}/run"
    )
    assert message_of(tmp_path / "run" / "metrics.json") == (
        f"{tmp_path}/run/metrics.json is a file of a run folder; name the folder {tmp_path}/run"
    )
