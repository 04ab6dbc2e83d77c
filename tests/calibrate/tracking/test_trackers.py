"""Trackers: checked before training, and no loss of a result after it."""

import sys

import pytest
from click.testing import CliRunner

from clip_cfr.calibrate.tracking.tracked_run import TrackedRun
from clip_cfr.calibrate.tracking.trackers import log_run, open_trackers
from clip_cfr.cli import main


class Broken:
    """A tracker whose server is gone."""

    destination = "http://ann:***@host"

    def log(self, run):
        raise ConnectionError(f"http://ann:secret@host refused {run.name}\nand more")


class Kept:
    """A tracker that keeps the runs."""

    destination = "memory"

    def __init__(self):
        self.runs = []

    def log(self, run):
        self.runs.append(run)


def test_without_options_there_is_no_tracker():
    assert open_trackers(None, None) == ()


def test_a_failure_is_a_warning_and_the_next_tracker_logs(caplog):
    kept, run = Kept(), TrackedRun("run")
    log_run([Broken(), kept], run)
    assert kept.runs == [run]
    assert caplog.messages == [
        "warning: the result could not be logged to http://ann:***@host (ConnectionError: "
        "http://ann:***@host refused run)"
    ]


@pytest.mark.parametrize("command", [["calibrate"], ["grid", "--set", "lr=1e-4"]])
@pytest.mark.parametrize(
    ("option", "package", "extra"),
    [
        (["--log-dir", "log"], "tensorboard", "track"),
        (["--mlflow", "sqlite:///m.db"], "mlflow", "mlflow"),
    ],
)
def test_a_missing_package_is_named_before_training(
    command, option, package, extra, toy_cache, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.chdir(tmp_path)
    words = [*command, "--cache", str(toy_cache), "--out", "out", *option]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == (
        f"Error: the package {package} is missing; install it with: pip install 'clip-cfr[{extra}]'"
    )
    assert "precision" not in result.output
    assert not (tmp_path / "log").exists()


def test_an_earlier_grid_stays_if_a_tracker_cannot_be_used(toy_cache, tmp_path):
    study, log = tmp_path / "grid" / "study.db", tmp_path / "log"
    study.parent.mkdir()
    study.write_text("points")
    log.touch()  # A file, so that no event file can be written below it.
    words = ["grid", "--cache", toy_cache, "--set", "lr=1e-4", "--out", study.parent, "--overwrite"]
    result = CliRunner().invoke(main, list(map(str, [*words, "--log-dir", log])))
    assert result.exit_code == 1
    assert study.read_text() == "points"
