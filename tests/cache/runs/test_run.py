"""Run folders: written, read back, refused."""

import hashlib
import json
import re
import resource
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clip_cfr.cache.errors import CacheError, FieldError, OutputError
from clip_cfr.cache.files.atomic import write_lock
from clip_cfr.cache.runs.encoding import csv_bytes, parse_csv
from clip_cfr.cache.runs.folder import check_run_directory, reserve_run_folder
from clip_cfr.cache.runs.run import (
    Run,
    default_run_directory,
    read_run,
    write_reserved_run,
    write_run,
)
from tests.cache.examples import assert_identical, run_python

RUN = Run(
    config={"lr": 1e-3, "methods": ["erm", "cfr"]},
    provenance={"cache_sha256": "00", "seed": 0},
    metrics={"cfr": {"test": {"worst_group": 0.5, "groups": [1, None]}}},
    history={
        "erm-seed0": {"step": np.array([1, 2]), "loss": np.array([0.1, np.nan])},
        "cfr": {"step": np.arange(0)},
    },
    heads={"cfr": {"projection": np.eye(2, dtype=np.float32), "scale": np.float32(3)}},
    formulas={"cfr": "features @ projection"},
    recommended="cfr",
    predictions={"row": [4, 7], "id": ["a, b.png", "c.png"], "cfr_seed0_p0": ["0.25", "1e-06"]},
    calibration_rows={"seed": [0], "row": [3], "id": ["d.png"]},
)
DAMAGED = "; the run is damaged: calibrate again with --overwrite"


@pytest.fixture
def run(tmp_path) -> Path:
    """A folder with a run."""
    write_run(tmp_path / "run", RUN)
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"step\n1\n99999999999999999999\n", "an integer beyond int64"),
        (b"step\n1\nx\n", "'1'"),
        (b"step\n" + b"1" * 200_000, "field larger than field limit (131072)"),
    ],
)
def test_a_table_of_other_values_is_damaged(data: bytes, found: str):
    with pytest.raises(FieldError) as error:
        parse_csv("a.csv", data)
    assert str(error.value) == (f"a.csv: expected a table of numbers with a header, found {found}")


def test_ids_of_many_digits_stay_text():
    ids = ["99999999999999999999", "1"]
    found = parse_csv("a.csv", csv_bytes("a.csv", {"id": ids}), text=True)
    assert found["id"].tolist() == ids


def message_of(action, folder: Path, **arguments) -> str:
    """What a refusal says behind the folder's name."""
    with pytest.raises(CacheError) as error:
        action(folder, **arguments)
    name, message = str(error.value).split(": ", 1)
    assert name == str(folder)
    return message


def test_a_run_is_read_back(run):
    found = read_run(run)
    assert found.config == RUN.config
    assert found.provenance == RUN.provenance
    assert found.metrics == RUN.metrics
    assert list(found.history) == ["erm-seed0", "cfr"]
    assert_identical(found.history["erm-seed0"]["step"], np.array([1, 2]))
    assert_identical(found.history["erm-seed0"]["loss"], np.array([0.1, np.nan]))
    assert_identical(found.heads["cfr"]["projection"], np.eye(2, dtype=np.float32))
    assert_identical(found.heads["cfr"]["scale"], np.array(3, np.float32))
    assert (found.formulas, found.recommended) == ({"cfr": "features @ projection"}, "cfr")
    assert {k: v.tolist() for k, v in found.predictions.items()} == {
        "row": [4, 7],
        "id": ["a, b.png", "c.png"],
        "cfr_seed0_p0": [0.25, 1e-06],
    }
    assert found.calibration_rows["id"].tolist() == ["d.png"]
    assert [each.name for each in run.parent.iterdir()] == ["run"]


def test_the_files_are_plain_ones(run):
    assert sorted(str(each.relative_to(run)) for each in run.rglob("*.*")) == [
        "calibration_rows.csv",
        "config.json",
        "heads.json",
        "heads/cfr.npz",
        "history/cfr.csv",
        "history/erm-seed0.csv",
        "metrics.json",
        "predictions.csv.gz",
        "provenance.json",
        "run.json",
    ]
    assert (run / "history/erm-seed0.csv").read_text() == "step,loss\n1,0.1\n2,nan\n"
    assert json.loads((run / "metrics.json").read_text()) == RUN.metrics
    assert set(json.loads((run / "run.json").read_text())) == {"format", "version", "sha256"}


def test_numpy_numbers_are_stored_as_plain_ones(tmp_path):
    metrics = {"n": np.int64(3), "accuracy": np.float32(0.5), "per_class": np.array([1, 2])}
    write_run(tmp_path / "run", replace(RUN, metrics=metrics))
    expected = {"n": 3, "accuracy": 0.5, "per_class": [1, 2]}
    assert read_run(tmp_path / "run").metrics == expected


columns = st.integers(0, 5).flatmap(
    lambda n: st.dictionaries(
        st.text(min_size=1, max_size=5).filter(str.isprintable),
        hnp.arrays(np.float32, n) | hnp.arrays(np.float64, n) | hnp.arrays(np.int64, n),
        min_size=1,
        max_size=3,
    )
)


@given(columns=columns)
def test_tables_round_trip(columns):
    found = parse_csv("a.csv", csv_bytes("a.csv", columns))
    assert list(found) == list(columns)
    for name, values in columns.items():
        assert np.array_equal(found[name].astype(values.dtype), values, equal_nan=True)


def test_a_run_is_replaced_only_when_asked(run):
    expected = "the run exists; replace it with --overwrite or name another"
    assert message_of(write_run, run, run=RUN) == expected
    assert message_of(check_run_directory, run, overwrite=False) == expected
    write_run(run, replace(RUN, config={"lr": 2}, heads={}, recommended=None), overwrite=True)
    assert (read_run(run).config, read_run(run).heads) == ({"lr": 2}, {})
    assert [each.name for each in run.parent.iterdir()] == ["run"]


def test_a_folder_that_is_not_a_run_is_never_replaced(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "config.json").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for existing in (folder, tmp_path / "file"):
        found = message_of(write_run, existing, run=RUN, overwrite=True)
        assert found == "exists and is not a run folder; name another one"
    assert (
        message_of(write_run, Path("/"), run=RUN)
        == "exists and is not a run folder; name another one"
    )
    assert (folder / "config.json").read_text() == "mine"


def test_an_empty_folder_is_used_and_missing_ones_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "a" / "b"):
        write_run(folder, RUN)
        assert read_run(folder).config == RUN.config


UNSTORABLE = [
    (
        {"metrics": {"accuracy": float("nan")}},
        "metrics.json: expected a JSON value, "
        "found Out of range float values are not JSON compliant",
    ),
    (
        {"config": {"path": Path("a")}},
        "config.json: expected a JSON value, found PosixPath PosixPath('a')",
    ),
    (
        {"history": {"erm": {"a": np.zeros(2), "b": np.zeros(3)}}},
        "history/erm.csv: expected columns of one length, found shapes {'a': (2,), 'b': (3,)}",
    ),
    (
        {"history": {"erm": {"a\r": np.zeros(2)}}},
        "history/erm.csv: expected column names that can be printed, found ['a\\r']",
    ),
    (
        {"heads": {"../erm": {}}},
        "heads/METHOD.npz: expected a name like [A-Za-z0-9][A-Za-z0-9_.+-]*, found ../erm",
    ),
    (
        {"heads": {"erm": {"a": np.array([None])}}},
        "heads/erm.npz: expected arrays of numbers, found objects in 'a'",
    ),
]


@pytest.mark.parametrize(("part", "message"), UNSTORABLE)
def test_what_cannot_be_stored_is_named_and_nothing_is_written(tmp_path, part, message):
    found = message_of(write_run, tmp_path / "run", run=replace(RUN, **part))
    assert found.startswith(message)
    assert found.endswith("; nothing was written")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("left", "kept"), [((), []), (("a/note.txt",), ["a", "a/note.txt"])])
def test_folders_that_were_made_go_if_the_work_fails_and_they_are_empty(tmp_path, left, kept):
    def fail():
        with reserve_run_folder(tmp_path / "a" / "b" / "run", False):
            assert (tmp_path / "a" / "b").is_dir()
            for name in left:
                (tmp_path / name).touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")) == kept


@pytest.mark.parametrize("name", ["metrics.json", "heads/cfr.npz", "history/cfr.csv"])
def test_a_missing_or_changed_file_is_named(run, name):
    digest = hashlib.sha256((run / name).read_bytes()).hexdigest()
    (run / name).write_bytes(b"changed")
    found = hashlib.sha256(b"changed").hexdigest()
    assert message_of(read_run, run) == f"{name}: expected SHA-256 {digest}, found {found}{DAMAGED}"
    (run / name).unlink()
    assert message_of(read_run, run) == (
        f"{name}: expected a file that can be read, found No such file or directory{DAMAGED}"
    )


def signed(run: Path, name: str, data: bytes | None) -> None:
    """Changes a file of a run, or takes it out, together with its digest."""
    index = json.loads((run / "run.json").read_text())
    del index["sha256"][name]
    if data is not None:
        (run / name).write_bytes(data)
        index["sha256"][name] = hashlib.sha256(data).hexdigest()
    (run / "run.json").write_text(json.dumps(index))


FOREIGN = [
    ("config.json", None, "config.json: expected an entry in run.json, found none"),
    ("config.json", b"[1]", "config.json: expected a JSON object, found "),
    ("history/cfr.csv", b"a,b\n1\n", "history/cfr.csv: expected a table of numbers with a header"),
    ("history/cfr.csv", b"a\nx\n", "history/cfr.csv: expected a table of numbers with a header"),
    ("history/cfr.csv", b"", "history/cfr.csv: expected a table of numbers with a header"),
    ("heads/cfr.npz", b"", "heads/cfr.npz: expected an npz file of arrays of numbers"),
    ("heads/cfr.npz", b"PK\x03\x04", "heads/cfr.npz: expected an npz file of arrays of numbers"),
]


@pytest.mark.parametrize(("name", "data", "message"), FOREIGN)
def test_a_foreign_file_is_refused(run, name, data, message):
    signed(run, name, data)
    found = message_of(read_run, run)
    assert found.startswith(message)
    assert found.endswith(DAMAGED)


def test_a_pickle_is_never_loaded(run, tmp_path):
    np.savez(tmp_path / "a.npz", head=np.array([print], dtype=object))
    signed(run, "heads/cfr.npz", (tmp_path / "a.npz").read_bytes())
    assert message_of(read_run, run).startswith("heads/cfr.npz: expected an npz file")


@pytest.mark.parametrize(
    ("version", "remedy"),
    [(1, "calibrate again with --overwrite"), (3, "install a newer clip-cfr")],
)
def test_another_version_is_refused_by_name(run, version, remedy):
    index = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(index | {"version": version}))
    assert message_of(read_run, run) == (
        f"expected clip-cfr-run of version 2, found clip-cfr-run of version {version}; {remedy}"
    )
    (run / "run.json").write_text("{")
    assert message_of(read_run, run).startswith("run.json: expected a JSON object, found ")


def test_a_run_of_an_older_version_can_be_replaced(run):
    index = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(index | {"version": 1}))
    write_run(run, RUN, overwrite=True)
    assert read_run(run).config == RUN.config


def test_a_run_folder_with_foreign_files_is_never_replaced(run):
    (run / "photo.png").write_text("mine")
    assert message_of(write_run, run, run=RUN, overwrite=True) == (
        "the run folder holds photo.png, which is not part of the run; move it away or name "
        "another folder"
    )
    assert (run / "photo.png").read_text() == "mine"


def test_a_folder_of_photos_with_a_run_json_is_never_replaced(tmp_path):
    (tmp_path / "run.json").write_text('{"sha256": {}}')
    found = message_of(write_run, tmp_path, run=RUN, overwrite=True)
    assert found == "exists and is not a run folder; name another one"


def test_a_run_that_lists_photos_is_never_replaced(run):
    index = json.loads((run / "run.json").read_text())
    (run / "photo.png").write_text("mine")
    index["sha256"]["photo.png"] = "00"
    (run / "run.json").write_text(json.dumps(index))
    assert "holds photo.png, which is not part" in message_of(
        write_run, run, run=RUN, overwrite=True
    )
    index["sha256"] = ["photo.png"]
    (run / "run.json").write_text(json.dumps(index))
    assert "holds " in message_of(write_run, run, run=RUN, overwrite=True)
    assert (run / "photo.png").read_text() == "mine"


@pytest.mark.parametrize("name", ["metrics.json", "heads"])
def test_a_run_folder_with_links_is_never_replaced(run, tmp_path, name):
    (run / name).rename(tmp_path / "mine")
    (run / name).symlink_to(tmp_path / "mine")
    found = message_of(write_run, run, run=RUN, overwrite=True)
    assert found.startswith(f"the run folder holds {name}, which is not part of the run; ")


def test_a_symbolic_link_to_a_folder_is_followed_and_stays(run, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to("run")
    other = replace(RUN, config={"lr": 2})
    with pytest.raises(CacheError, match=f"{run}: the run exists; replace it"):
        write_run(link, other)
    write_run(link, other, overwrite=True)
    assert link.readlink() == Path("run")
    assert read_run(run).config == {"lr": 2}
    link.unlink()
    link.symlink_to("later")
    write_run(link, RUN)
    assert link.readlink() == Path("later")
    assert read_run(tmp_path / "later").config == RUN.config


def test_the_current_folder_is_not_replaced(run, monkeypatch):
    monkeypatch.chdir(run)
    for folder in (Path(), run, Path("heads/..")):
        with pytest.raises(CacheError) as error:
            write_run(folder, RUN, overwrite=True)
        assert str(error.value) == (
            f"{run}: is the current folder, which cannot be replaced; name a folder in it"
        )


def test_a_run_is_not_replaced_if_files_appear_during_the_work(run):
    with reserve_run_folder(run, overwrite=True) as target:
        (run / "notes.txt").write_text("mine")
        assert "holds notes.txt" in message_of(
            lambda folder: write_reserved_run(folder, RUN, overwrite=True), target
        )
    assert [each.name for each in run.parent.iterdir()] == ["run"]
    assert (run / "notes.txt").read_text() == "mine"


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path):
    assert message_of(check_run_directory, tmp_path / ("a" * 250), overwrite=False) == (
        "cannot be written: File name too long; name a shorter one"
    )


def test_an_input_is_not_accepted_as_output(run):
    with pytest.raises(OutputError, match="is one of the files to read; name another"):
        reserve_run_folder(run, True, inputs=[run]).__enter__()


def test_a_run_that_a_kill_left_under_a_temporary_name_gets_its_name_back(run, caplog):
    hidden = run.with_name(".run.0123abcd.old")
    run.rename(hidden)
    run.with_name(".run.89abcdef.tmp").mkdir()
    expected = "the run exists; replace it with --overwrite or name another"
    assert message_of(check_run_directory, run, overwrite=False) == expected
    assert read_run(run).config == RUN.config
    assert [each.name for each in run.parent.iterdir()] == ["run"]
    assert caplog.messages == [
        f"{run}: restored the run that a killed process left as .run.0123abcd.old",
        f"{run}: removed .run.89abcdef.tmp, left by a killed process",
    ]


def test_folders_of_similar_names_are_left_alone(run):
    """Folders are recognized by their contents, and not by their names alone."""
    for name in (".run.0123abcd.old", ".run.0123abcd.tmp", ".run.mine.tmp"):
        run.with_name(name).mkdir()
        (run.with_name(name) / "photo.png").write_text("mine")
    write_run(run, RUN, overwrite=True)
    assert len(list(run.parent.glob(".run.*/photo.png"))) == 3


KILL_IN_THE_SWAP = """
import os, signal, sys
from pathlib import Path
from clip_cfr.cache.runs.run import Run, write_run
rename = Path.rename
def kill(self, target):
    if self.suffix == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    found = rename(self, target)
    if Path(target).suffix == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    return found
Path.rename = kill
write_run(sys.argv[1], Run(config={"lr": 2}, provenance={}, metrics={}), overwrite=True)
"""


@pytest.mark.parametrize("suffix", [".old", ".tmp"])
def test_a_kill_between_the_renames_loses_nothing(run, suffix):
    done = run_python(KILL_IN_THE_SWAP, run, suffix)
    assert done.returncode == -signal.SIGKILL
    assert not run.exists()
    check_run_directory(run, overwrite=True)
    assert read_run(run).config == RUN.config
    assert [each.name for each in run.parent.iterdir()] == ["run"]


def test_a_second_writer_is_refused_and_disturbs_nothing(run):
    """Leftovers are removed under the lock: not the folder that a process writes right now."""
    live = run.with_name(".run.0123abcd.tmp")
    live.mkdir()
    with write_lock(run):
        assert message_of(check_run_directory, run, overwrite=True) == (
            "another process is writing this file; wait until it ends, or write another file "
            "(lock: run.lock)"
        )
        assert live.exists()


def test_pandas_reads_predictions_in_one_line(run):
    frame = pandas.read_csv(run / "predictions.csv.gz")
    assert frame.to_dict("list") == {
        "row": [4, 7],
        "id": ["a, b.png", "c.png"],
        "cfr_seed0_p0": [0.25, 1e-06],
    }


FILL_DISK = """
import resource, sys
import numpy as np
from clip_cfr.cache.errors import CacheError, OutputError
from clip_cfr.cache.files.atomic import write_lock
from clip_cfr.cache.runs.run import Run, write_run
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
run = Run(config={}, provenance={}, metrics={}, heads={"erm": {"a": np.zeros(1000)}})
try:
    write_run(sys.argv[1], run, overwrite=True)
except CacheError as error:
    print(error)
"""


def test_a_full_disk_keeps_the_older_run(run):
    done = run_python(FILL_DISK, run)
    assert done.stderr == ""
    assert re.fullmatch(
        rf"{run}: cannot be written: File too large; 8,\d+ bytes are needed; "
        "make room and run the same command again\n",
        done.stdout,
    )
    assert read_run(run).config == RUN.config
    assert [each.name for each in run.parent.iterdir()] == ["run"]


def test_a_disk_without_a_free_block_is_refused_before_the_work(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        found = message_of(check_run_directory, tmp_path / "a" / "run", overwrite=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert found == "cannot be written: File too large; make room and run the same command again"
    assert list(tmp_path.iterdir()) == []


def test_the_default_folder_has_name_and_time():
    found = default_run_directory("digits")
    assert found.parent == Path("runs")
    assert re.fullmatch(r"digits-\d{8}-\d{6}-\d{3}", found.name)


def test_the_index_of_another_program_is_not_a_run(tmp_path):
    (tmp_path / "run.json").write_text('{"version": 2}')
    with pytest.raises(CacheError) as error:
        read_run(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: expected a run folder, found run.json of another program; name a folder that "
        "calibrate wrote"
    )
