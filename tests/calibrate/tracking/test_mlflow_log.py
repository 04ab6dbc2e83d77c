"""MLflow: runs below runs, read back with its client. The store is a folder, the fastest one."""

import pytest

pytest.importorskip("mlflow")
from mlflow.tracking import MlflowClient

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.tracking.from_grid import track_grid
from clip_cfr.calibrate.tracking.mlflow_log import BATCH, MlflowTracker
from clip_cfr.calibrate.tracking.tracked_run import TrackedRun
from tests.calibrate.grid.results import make_result


@pytest.fixture(autouse=True)
def store_in_folders(monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)


def runs_by_name(uri: str, experiment: str = "clip-cfr"):
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    return client, {each.info.run_name: each for each in client.search_runs(found.experiment_id)}


def test_the_points_of_a_grid_are_runs_below_that_of_the_grid(tmp_path):
    result = make_result()
    MlflowTracker(str(tmp_path / "store")).log(track_grid(result, "grid"))
    _, runs = runs_by_name(str(tmp_path / "store"))
    assert set(runs) == {
        "grid",
        *(f"cfr-point{number}" for number in range(5)),
        *("zeroshot-reference", "erm-reference"),
    }
    grid, best = runs["grid"], runs["cfr-point3"]
    assert grid.data.tags["dataset"] == "toy"
    assert result.best_command in grid.data.tags["mlflow.note.content"]
    assert best.data.tags["mlflow.parentRunId"] == grid.info.run_id
    assert best.data.params == {"method": "cfr", "state": "complete", "lr": "0.1"}
    assert best.data.metrics["val/worst_class"] == 0.625
    assert {each.info.status for each in runs.values()} == {"FINISHED"}


def test_a_long_curve_is_logged_whole_by_step(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "birds")
    values = {10 * step: step / 7 for step in range(BATCH + 1)}
    run = TrackedRun("erm-seed0", curves={"training/val worst-class": values}, metrics={"a": 0.5})
    MlflowTracker(str(tmp_path / "store")).log(run)
    client, runs = runs_by_name(str(tmp_path / "store"), "birds")
    found = client.get_metric_history(runs["erm-seed0"].info.run_id, "training/val worst-class")
    assert {each.step: each.value for each in found} == values
    assert runs["erm-seed0"].data.metrics["a"] == 0.5


def test_a_server_that_does_not_answer_is_an_error_without_its_password():
    with pytest.raises(CalibrationError) as error:
        MlflowTracker("http://ann:secret@127.0.0.1:9")
    message = str(error.value)
    assert message.startswith("--mlflow http://ann:***@127.0.0.1:9: cannot be used (Mlflow")
    assert message.endswith("; start the server, or name a database such as sqlite:///mlflow.db")
    assert "secret" not in message


def test_an_unknown_scheme_is_an_error():
    with pytest.raises(CalibrationError, match=r"^--mlflow foo:/x: cannot be used \(.*'foo:/x'"):
        MlflowTracker("foo:/x")
