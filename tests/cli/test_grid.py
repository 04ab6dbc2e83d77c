"""The grid command: results, growth, methods, errors, interruptions and worker processes."""

import csv
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from clip_cfr.cache.read.info import content_digest
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.calibrate.grid.liveness import is_running
from clip_cfr.calibrate.runtime import resident_rows
from clip_cfr.cli import main
from tests.cli.test_calibrate import make_cache

ROOT = Path(__file__).parents[2]
QUICK = [
    *("--steps", "20", "--identification-steps", "200", "--identification-lr", "3e-4"),
    *("--erm-steps", "200", "--erm-lr", "3e-4", "--evaluations", "10"),
]
SPACE = ["--set", "lr=1e-4,1e-3", "--set", "calibration-size=0.5,1.0"]
# Long enough that a signal meets them in the middle of a point.
SLOW = [
    *("--steps", "1500", "--identification-steps", "200", "--identification-lr", "3e-4"),
    *("--erm-steps", "200", "--erm-lr", "3e-4"),
]


@pytest.fixture(scope="module")
def cache_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("caches") / "toy.h5"
    write_cache(path, make_cache())
    return path


@pytest.fixture(scope="module")
def finished(cache_file, tmp_path_factory):
    """Run a grid of four points with two seeds; return its folder and its result."""
    out = tmp_path_factory.mktemp("grids") / "grid"
    arguments = ["--cache", cache_file, *SPACE, *QUICK, "--seeds", 2, "--out", out]
    return out, json.loads(invoke(*arguments, "--json").stdout)


def invoke(*arguments, code=0, command="grid"):
    result = CliRunner().invoke(main, [command, *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def start(*arguments) -> subprocess.Popen:
    """Start a process that runs the command, with its standard error to read."""
    command = [sys.executable, "-u", ROOT / "cli.py", "grid", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def wait_for(process: subprocess.Popen, beginning: str) -> None:
    """Read standard error until a line has this beginning."""
    for line in process.stderr:
        if line.startswith(beginning):
            return
    raise AssertionError(f"the process ended before {beginning!r}")


def query(study: Path, statement: str) -> list[tuple]:
    """Return the rows of a query of a study's database."""
    with sqlite3.connect(study) as database:
        rows = database.execute(statement).fetchall()
    database.close()
    return rows


def wait_until(condition, seconds: float) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def states(study: Path, name: str = "grid") -> list[str]:
    """Return the states of all trials of a study, in their order."""
    statement = (
        "SELECT state FROM trials JOIN studies USING (study_id) "
        f"WHERE study_name = '{name}' ORDER BY number"
    )
    return [state for (state,) in query(study, statement)]


def num_trials(study: Path) -> int:
    """Return the number of trials of all studies, references included."""
    return query(study, "SELECT count(*) FROM trials")[0][0]


def assert_same_accuracies(point: dict, calibrated: dict) -> None:
    """Compare the accuracies of a point with those of `calibrate`.

    A metric of groups that are not named in words is None in a point, and missing otherwise.
    """
    expected = {name: calibrated.get(name) for name in point if not name.endswith("_std")}
    assert {name: point[name] for name in expected} == expected


def without_seconds(points: list[dict]) -> list[dict]:
    """Return points without the time that they took."""
    return [{**point, "seconds": 0} for point in points]


class TestResult:
    def test_has_every_combination_in_order_of_merit(self, finished):
        _, result = finished
        points = result["points"]
        values = {tuple(row["settings"].values()) for row in points}
        assert values == {(lr, size) for lr in (1e-4, 1e-3) for size in (0.5, 1.0)}
        merits = [row["val"]["inferred_groups"] for row in points]
        assert merits == sorted(merits, reverse=True)
        assert result["counts"] == {"complete": 4, "pruned": 0, "failed": 0}
        assert (result["dataset"], result["model"], result["seeds"]) == ("toy", "none", [0, 1])
        assert result["criterion"] == result["selection"] == "inferred-groups"

    def test_has_the_accuracies_of_calibrate(self, finished, cache_file, tmp_path):
        best = finished[1]["points"][0]
        words = shlex.split(finished[1]["best"]["command"])
        assert words[:4] == ["clip-cfr", "calibrate", "--cache", str(cache_file)]
        run = ["--method", "cfr", "--out", tmp_path / "run", "--json"]
        result = json.loads(invoke(*words[2:], *run, command="calibrate").stdout)
        for split in ("val", "test"):
            assert_same_accuracies(best[split], result["methods"]["cfr"][split])

    def test_is_written_to_the_folder_beside_its_leaderboard(self, finished, cache_file):
        out, result = finished
        assert json.loads((out / "grid.json").read_text()) == result
        assert result["cache_sha256"] == content_digest(cache_file)
        rows = list(csv.DictReader((out / "leaderboard.csv").read_text().splitlines()))
        points, references = rows[:4], rows[4:]
        assert [int(row["point"]) for row in points] == [row["point"] for row in result["points"]]
        assert [row["method"] for row in references] == ["zeroshot", "erm"]
        assert float(rows[0]["test_worst_group"]) == result["points"][0]["test"]["worst_group"]
        assert {each.name for each in out.iterdir()} == {
            "study.db",
            "grid.json",
            "leaderboard.csv",
        }

    def test_of_a_finished_grid_is_shown_without_fitting(self, finished, cache_file):
        out, result = finished
        arguments = ["--cache", cache_file, *SPACE, *QUICK, "--seeds", 2, "--out", out]
        again = invoke(*arguments, "--json")
        assert json.loads(again.stdout) == result
        assert again.stderr == (
            f"4 of 4 points are finished already\ngrid written to {out}\n"
            f"next: clip-cfr show {out}\n"
        )
        table = invoke(*arguments).stdout
        assert "mean ± standard deviation over 2 seeds" in table
        assert table.endswith(f"Calibrate with the best point:\n{result['best']['command']}\n")

    def test_has_a_folder_that_the_same_command_finds(self, cache_file, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        space = ["--cache", cache_file, "--set", "lr=1e-4,1e-3", *QUICK]
        first = json.loads(invoke(*space, "--json").stdout)
        assert (tmp_path / "runs" / f"toy-grid-{first['digest']}" / "grid.json").exists()
        assert "2 of 2 points are finished already" in invoke(*space).stderr
        invoke(*space, "--seeds", 2)
        assert len(list((tmp_path / "runs").iterdir())) == 2


class TestSettings:
    def test_may_come_from_a_file(self, cache_file, tmp_path):
        (tmp_path / "space.yaml").write_text("lr: [1e-4, 1e-3]\nsteps: 20\n")
        arguments = ["--cache", cache_file, "--settings", tmp_path / "space.yaml"]
        arguments += ["--set", "temperature=0.1", *QUICK[2:], "--out", tmp_path / "grid", "--json"]
        result = json.loads(invoke(*arguments).stdout)
        assert set(result["space"]) == {"lr", "steps", "temperature"}
        assert len(result["points"]) == 2

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "nothing to vary: give --set NAME=VALUE,VALUE or --settings FILE"),
            (
                ["--set", "temprature=1"],
                "--set temprature=1: there is no setting 'temprature'; did you mean temperature?",
            ),
            (["--set", "lr=-1"], "--set lr=-1: lr is -1.0, expected above 0"),
            (["--set", "lr=a"], "--set lr=a: 'a' is not a valid float."),
            (["--set", "lr=1", "--lr", "1"], "--set lr=1: lr is fixed by --lr; leave one out"),
            (
                ["--set", "lr=1:2"],
                "--set lr: a range cannot be enumerated; give values, or use --sampler tpe or "
                "random",
            ),
            (
                ["--set", "lr=1:2", "--sampler", "tpe"],
                "--sampler tpe needs --trials, the number of points",
            ),
            (
                ["--set", "lr=1", "--storage", "sqlite:///a.db", "--overwrite"],
                "--overwrite removes the study.db of the folder only; leave out --storage",
            ),
            (
                ["--set", "lr=1", "--method", "erm", "--method", "dfr"],
                "--set lr=1: none of erm, dfr depends on lr; leave it out",
            ),
        ],
    )
    def test_that_are_wrong_are_usage_errors(self, cache_file, tmp_path, arguments, message):
        out = tmp_path / "grid"
        result = invoke("--cache", cache_file, "--out", out, *arguments, code=2)
        assert result.stderr.splitlines()[-1] == f"Error: {message}"
        assert not out.exists()

    def test_of_a_file_that_cannot_be_read_are_not_usage_errors(self, cache_file, tmp_path):
        file, out = tmp_path / "none.json", tmp_path / "grid"
        result = invoke("--cache", cache_file, "--settings", file, "--out", out, code=1)
        assert result.stderr == f"Error: {file}: cannot be read: No such file or directory\n"


class TestStudy:
    def test_of_another_cache_is_refused(self, finished, tmp_path):
        out, result = finished
        cache = make_cache()
        path = tmp_path / "toy.h5"
        write_cache(path, replace(cache, features=cache.features * np.float16(2)))
        arguments = ["--cache", path, *SPACE, *QUICK, "--seeds", 2, "--out", out]
        before = (out / "study.db").read_bytes()
        error = invoke(*arguments, code=1).stderr.splitlines()[-1]
        assert error == (
            f"Error: {out / 'study.db'}: the study grid belongs to another grid: cache is "
            f"{result['cache_sha256']}, here {content_digest(path)}; name another folder with "
            "--out, or start again with --overwrite"
        )
        assert (out / "study.db").read_bytes() == before

    def test_with_other_resident_rows_is_refused(self, finished, cache_file, monkeypatch):
        out, _ = finished
        monkeypatch.setattr(resident_rows, "count_fitting_rows", lambda *_: 1000)
        arguments = ["--cache", cache_file, *SPACE, *QUICK, "--seeds", 2, "--out", out]
        error = invoke(*arguments, code=1).stderr.splitlines()[-1]
        assert "the study grid belongs to another grid: hold_rows is None, here 1000;" in error

    def test_is_removed_with_overwrite(self, cache_file, tmp_path):
        arguments = ["--cache", cache_file, *QUICK, "--out", tmp_path / "grid", "--json"]
        invoke(*arguments, "--set", "lr=1e-4")
        result = json.loads(invoke(*arguments, "--set", "lr=1e-3", "--overwrite").stdout)
        assert [row["settings"] for row in result["points"]] == [{"lr": 1e-3}]

    def test_may_be_in_a_storage_that_machines_share(self, cache_file, tmp_path):
        url = f"sqlite:///{tmp_path / 'shared.db'}"
        arguments = ["--cache", cache_file, "--set", "lr=1e-4,1e-3", *QUICK, "--storage", url]
        result = json.loads(invoke(*arguments, "--out", tmp_path / "grid", "--json").stdout)
        assert result["study"] == {
            "storage": str(tmp_path / "shared.db"),
            "name": "grid",
            "names": {"cfr": "grid"},
        }
        assert not (tmp_path / "grid" / "study.db").exists()
        error = invoke(*arguments[:-2], "--storage", "nonsense", "--out", tmp_path, code=2).stderr
        assert "Error: --storage nonsense: expected a database URL" in error

    def test_of_another_grid_does_not_replace_a_result(self, finished, cache_file, tmp_path):
        storage = ["--storage", f"sqlite:///{tmp_path / 'shared.db'}", "--out", finished[0]]
        error = invoke("--cache", cache_file, "--set", "lr=1", *QUICK, *storage, code=1).stderr
        assert f"{finished[0] / 'grid.json'}: belongs to another grid: the digest is" in error

    def test_is_not_written_to_a_folder_of_something_else(self, cache_file, tmp_path):
        (tmp_path / "run.json").touch()
        arguments = ["--cache", cache_file, "--set", "lr=1", "--out", tmp_path]
        assert invoke(*arguments, code=1).stderr == (
            f"Error: {tmp_path}: exists and is not a grid folder; name another one\n"
        )


class TestSampling:
    @pytest.mark.parametrize("sampler", ["tpe", "random"])
    def test_proposes_points_of_a_range_and_more_when_asked(self, cache_file, tmp_path, sampler):
        space = ["--set", "lr=1e-5:1e-2", "--set", "positive=dps,rps", "--sampler", sampler]
        arguments = ["--cache", cache_file, *space, *QUICK, "--out", tmp_path / "grid", "--json"]
        first, second = (
            json.loads(invoke(*arguments, "--trials", count).stdout) for count in (2, 3)
        )
        points = [
            {row["point"]: row["settings"] for row in each["points"]} for each in (first, second)
        ]
        assert sorted(points[1]) == [0, 1, 2]
        assert points[0].items() <= points[1].items()
        assert all(1e-5 <= each["lr"] <= 1e-2 for each in points[1].values())
        assert first["space"]["lr"] == {"low": 1e-5, "high": 1e-2, "log": True}

    def test_prunes_unpromising_points(self, cache_file, tmp_path):
        space = ["--set", "lr=1e-3,1e-12,2e-12", "--prune"]
        arguments = ["--cache", cache_file, *space, *QUICK, "--out", tmp_path / "grid"]
        found = json.loads(invoke(*arguments, "--json").stdout)
        assert found["counts"] == {"complete": 1, "pruned": 2, "failed": 0}
        pruned = found["points"][1]
        assert pruned["reason"] == "stopped at step 6 of 20 of the first seed"
        assert "Not shown: 2 pruned; all are in leaderboard.csv." in invoke(*arguments).stdout


class TestFailures:
    def test_are_shown_and_the_grid_continues(self, cache_file, tmp_path):
        arguments = [
            "--cache",
            cache_file,
            "--set",
            "lr=1e30,1e-3",
            *QUICK,
            "--out",
            tmp_path / "grid",
        ]
        result = invoke(*arguments)
        assert "Failed: lr 1e+30: cfr diverged at step" in result.stdout
        assert "1 of 2: lr 1e+30: failed: cfr diverged" in result.stderr
        assert json.loads((tmp_path / "grid" / "grid.json").read_text())["counts"]["failed"] == 1

    def test_of_all_points_are_an_error_and_are_kept(self, cache_file, tmp_path):
        arguments = ["--cache", cache_file, "--set", "lr=1e30", *QUICK, "--out", tmp_path / "grid"]
        for _ in range(2):
            error = invoke(*arguments, code=1).stderr.splitlines()[-1]
            assert error.startswith("Error: no point could be fitted: cfr diverged at step")
        assert json.loads((tmp_path / "grid" / "grid.json").read_text())["best"] is None

    def test_of_the_device_come_before_any_point(self, cache_file, tmp_path):
        arguments = ["--cache", cache_file, "--set", "lr=1", "--out", tmp_path / "grid"]
        error = invoke(*arguments, "--device", "gpu", code=1).stderr
        assert error.startswith("Error: --device gpu: JAX finds no such device")

    def test_of_worker_processes_are_shown(self, cache_file, tmp_path):
        arguments = ["--cache", cache_file, "--set", "lr=1", "--out", tmp_path / "grid"]
        error = invoke(*arguments, "--device", "gpu", "--workers", 2, code=1).stderr
        assert error.startswith("Error: --device gpu: JAX finds no such device")


class TestInterruptions:
    def test_a_killed_grid_is_resumed(self, cache_file, tmp_path):
        out = tmp_path / "grid"
        arguments = ["--cache", cache_file, "--set", "lr=1e-4,1e-3,1e-2", *SLOW, "--out", out]
        process = start(*arguments)
        wait_for(process, "1 of 3: ")
        time.sleep(0.2)
        process.kill()
        process.communicate()
        assert states(out / "study.db") == ["COMPLETE", "RUNNING"]
        result = invoke(*arguments, "--json")
        assert result.stderr.startswith("1 of 3 points are finished already\n")
        assert "reference" not in result.stderr, "references are kept too"
        assert states(out / "study.db") == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
        whole = json.loads(invoke(*arguments[:-1], tmp_path / "whole", "--json").stdout)
        found = json.loads(result.stdout)
        for key in ("points", "references"):
            assert without_seconds(found[key]) == without_seconds(whole[key]), key

    def test_ctrl_c_says_how_to_resume(self, cache_file, tmp_path):
        out = tmp_path / "grid"
        arguments = ["--cache", cache_file, "--set", "lr=1e-4,1e-3,1e-2", *SLOW, "--out", out]
        process = start(*arguments)
        wait_for(process, "1 of 3: ")
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
        assert process.returncode == 130
        assert error.splitlines()[-1] == (
            f"{out}: interrupted; finished points are kept, run the same command to resume"
        )
        assert "Traceback" not in error
        assert "RUNNING" not in states(out / "study.db")

    def test_ctrl_c_ends_the_workers_too(self, cache_file, tmp_path):
        out = tmp_path / "grid"
        space = ["--set", "lr=1e-5,1e-4,1e-3,1e-2", "--workers", 2]
        process = start("--cache", cache_file, *space, *SLOW, "--out", out)
        wait_for(process, "1 of 4: ")
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in error
        numbers = workers_of(out / "study.db")
        assert numbers
        assert not any(is_running(each) for each in numbers)


def workers_of(study: Path) -> set[int]:
    """Return the ids of the processes that ran a study's trials."""
    statement = "SELECT value_json FROM trial_user_attributes WHERE key = 'process'"
    return {int(json.loads(name).split(":")[1]) for (name,) in query(study, statement)}


class TestWorkers:
    def test_share_one_study_and_run_the_points_of_a_killed_one(self, cache_file, tmp_path):
        out, arguments = tmp_path / "grid", ["--cache", cache_file, *SLOW]
        space = ["--set", "lr=1e-5,1e-4,1e-3,1e-2", "--json"]
        process = start(*arguments, *space, "--workers", 2, "--out", out)
        wait_for(process, "1 of 4: ")
        numbers = workers_of(out / "study.db")
        assert len(numbers - {process.pid}) == 2
        killed = max(numbers)  # Started last: the parent process must reap it nevertheless.
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{killed}").exists(), seconds=10)
        found, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        assert states(out / "study.db").count("COMPLETE") == 4
        alone = json.loads(invoke(*arguments, *space, "--out", tmp_path / "alone").stdout)
        assert without_seconds(json.loads(found)["points"]) == without_seconds(alone["points"])

    def test_end_with_their_parent_process(self, cache_file, tmp_path):
        out = tmp_path / "grid"
        rates = ",".join(f"{number}e-5" for number in range(1, 31))
        space = ["--set", f"lr={rates}", "--workers", 2]
        process = start("--cache", cache_file, *space, *SLOW, "--out", out)
        wait_for(process, "1 of 30: ")
        process.kill()
        process.communicate()
        numbers = workers_of(out / "study.db")
        wait_until(lambda: not any(map(is_running, numbers)), seconds=30)
        assert states(out / "study.db").count("COMPLETE") < 30


class TestGrowth:
    @pytest.fixture
    def arguments(self, cache_file):
        return ["--cache", cache_file, *QUICK, "--json"]

    def test_adds_values_to_the_same_default_folder(self, arguments, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        first = json.loads(invoke(*arguments, "--set", "lr=1e-4,1e-3").stdout)
        again = invoke(*arguments, "--set", "lr=1e-4,1e-3,1e-2")
        assert again.stderr.startswith("2 of 3 points are finished already\n")
        assert "3 of 3: lr 0.01: val inferred-groups" in again.stderr
        second = json.loads(again.stdout)
        assert second["digest"] == first["digest"]
        assert [each.name for each in (tmp_path / "runs").iterdir()] == [
            f"toy-grid-{first['digest']}"
        ]
        rows = {row["settings"]["lr"]: row for row in second["points"]}
        assert sorted(rows) == [1e-4, 1e-3, 1e-2]
        for row in first["points"]:
            lr = row["settings"]["lr"]
            assert rows[lr] == {**row, "point": rows[lr]["point"]}, lr
        assert states(next((tmp_path / "runs").iterdir()) / "study.db") == ["COMPLETE"] * 3

    def test_shows_the_remaining_values_if_some_are_left_out(self, arguments, tmp_path):
        arguments += ["--out", tmp_path / "grid"]
        invoke(*arguments, "--set", "lr=1e-4,1e-3")
        fewer = invoke(*arguments, "--set", "lr=1e-3")
        assert fewer.stderr.startswith("1 of 1 points are finished already\n")
        result = json.loads(fewer.stdout)
        assert [row["settings"] for row in result["points"]] == [{"lr": 1e-3}]
        assert result["space"] == {"lr": [1e-3]}

    def test_of_other_fixed_settings_is_refused(self, arguments, tmp_path):
        arguments += ["--out", tmp_path / "grid"]
        invoke(*arguments, "--set", "lr=1e-3")
        other = invoke(*arguments, "--set", "lr=1e-3", "--temperature", "0.5", code=1)
        assert "belongs to another grid: temperature is 1.0, here 0.5;" in other.stderr


class TestMethods:
    def test_have_one_leaderboard(self, cache_file, tmp_path):
        out = tmp_path / "grid"
        methods = ["--method", "erm", "--method", "cfr", "--method", "dfr"]
        arguments = ["--cache", cache_file, *QUICK[:8], "--evaluations", "10", *methods]
        arguments += ["--set", "lr=1e-3,1e-2", "--set", "erm_lr=3e-4", "--out", out]
        result = json.loads(invoke(*arguments, "--json").stdout)
        found = {
            method: [row["settings"] for row in result["points"] if row["method"] == method]
            for method in result["methods"]
        }
        assert found["erm"] == [{"erm_lr": 3e-4}]
        assert sorted(each["lr"] for each in found["cfr"]) == [1e-3, 1e-2]
        assert found["dfr"] == [{}]
        assert result["points"][-1]["method"] == "dfr", "it trains on the validation split"
        assert result["best"]["method"] == result["points"][0]["method"]
        assert result["study"]["names"] == {
            method: f"grid-{method}" for method in ("erm", "cfr", "dfr")
        }
        table = invoke(*arguments)
        assert "toy: ERM, CFR, DFR, accuracy in per cent" in table.stdout
        assert "4 of 4 points are finished already" in table.stderr

    def test_may_be_added_to_a_grid(self, cache_file, tmp_path):
        out = tmp_path / "grid"
        arguments = ["--cache", cache_file, *QUICK, "--set", "lr=1e-3", "--out", out]
        invoke(*arguments)
        both = invoke(*arguments, "--method", "cfr", "--method", "erm")
        assert both.stderr.startswith("1 of 2 points are finished already\n")
        assert "2 of 2: ERM: val inferred-groups" in both.stderr
        assert states(out / "study.db") == ["COMPLETE"]
        assert states(out / "study.db", "grid-erm") == ["COMPLETE"]


class TestReferences:
    def test_are_beside_the_points(self, finished):
        result = finished[1]
        assert [row["method"] for row in result["references"]] == ["zeroshot", "erm"]
        assert [row["n"] for row in result["references"]] == [2, 2]
        assert [row["settings"] for row in result["references"]] == [{}, {}]

    def test_have_the_accuracies_of_calibrate(self, finished, cache_file, tmp_path):
        arguments = ["--cache", cache_file, *QUICK, "--seeds", 2, "--out", tmp_path / "run"]
        methods = ["--method", "zeroshot", "--method", "erm"]
        text = invoke(*arguments, *methods, "--json", command="calibrate").stdout
        expected = json.loads(text)["methods"]
        for row in finished[1]["references"]:
            for split in ("val", "test"):
                assert_same_accuracies(row[split], expected[row["method"]][split])

    def test_show_their_value_of_a_varied_setting(self, cache_file, tmp_path):
        arguments = ["--cache", cache_file, *QUICK, "--set", "weight_decay=1e-3"]
        arguments += ["--out", tmp_path / "grid", "--json"]
        result = json.loads(invoke(*arguments).stdout)
        assert [row["settings"] for row in result["references"]] == [{}, {"weight_decay": 1e-5}]

    def test_are_not_fitted_again(self, cache_file, tmp_path):
        arguments = ["--cache", cache_file, *QUICK, "--out", tmp_path / "grid"]
        invoke(*arguments, "--set", "lr=1e-3")
        assert num_trials(tmp_path / "grid" / "study.db") == 3
        invoke(*arguments, "--set", "lr=1e-3,1e-2")
        assert num_trials(tmp_path / "grid" / "study.db") == 4


@pytest.mark.parametrize("form", ["markdown", "latex", "csv"])
def test_other_formats_are_printed(finished, cache_file, form):
    out, _ = finished
    arguments = ["--cache", cache_file, *SPACE, *QUICK, "--seeds", 2, "--out", out]
    text = invoke(*arguments, "--format", form).stdout
    beginnings = {
        "markdown": "toy: CFR, accuracy in per cent; ",
        "latex": "% toy: CFR, accuracy in per cent\n",
        "csv": "reference,method,point,lr,calibration_size,seed,split,metric,value\n",
    }
    assert text.startswith(beginnings[form])


class TestShow:
    def test_prints_what_the_grid_printed(self, finished, cache_file):
        out, result = finished
        arguments = ["--cache", cache_file, *SPACE, *QUICK, "--seeds", 2, "--out", out]
        for form in ([], ["--format", "csv"], ["--json"]):
            shown = invoke(out, *form, command="show").stdout
            assert shown == invoke(*arguments, *form).stdout, form
        assert json.loads(shown) == result

    def test_of_an_unfinished_grid_is_refused(self, tmp_path):
        (tmp_path / "study.db").touch()
        assert invoke(tmp_path, command="show", code=1).stderr == (
            f"Error: {tmp_path / 'grid.json'}: cannot be read: No such file or directory; expected "
            "the folder of a finished grid\n"
        )


class TestHelp:
    def test_says_how_ranges_are_read(self):
        text = " ".join(invoke("--help").stdout.split())
        assert (
            "Floats are sampled on a log scale if the range starts above 0 and spans a factor of 10"
            in text
        )

    def test_says_how_a_grid_grows(self):
        text = " ".join(invoke("--help").stdout.split())
        assert "Run it with more values, methods or trials to add points" in text
