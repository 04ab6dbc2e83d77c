"""TensorBoard: what a calibration and a grid write, read back with TensorBoard's own reader."""

import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.calibrate.comparison.notes import format_recommendation
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.pipeline import calibrate_cache
from clip_cfr.calibrate.progress import SilentReporter
from clip_cfr.calibrate.tracking.from_grid import track_grid
from clip_cfr.calibrate.tracking.tracked_run import TrackedRun
from tests.calibrate.grid.results import make_result

pytest.importorskip("tensorboard")
from clip_cfr.calibrate.tracking.tensorboard_log import TensorBoardTracker
from tests.calibrate.tracking.events import (
    HPARAMS,
    curve,
    parameters,
    read_events,
    text,
)

SETTINGS = Settings(erm_steps=40, erm_lr=3e-4, evaluations=4)


@pytest.fixture(scope="module")
def logged(toy_cache, tmp_path_factory):
    """A calibration with its log: the folder of the log and the result."""
    folder = tmp_path_factory.mktemp("tracking")
    result = calibrate_cache(
        toy_cache,
        SETTINGS,
        methods=("zeroshot", "erm"),
        seeds=2,
        out=folder / "run",
        log_dir=folder / "log",
        reporter=SilentReporter(),
    )
    return folder / "log", result


def test_each_method_and_seed_is_a_run_below_that_of_the_run_folder(logged):
    log, _ = logged
    assert [each.name for each in log.iterdir()] == ["run"]
    folders = sorted(each.name for each in (log / "run").iterdir() if each.is_dir())
    assert folders == ["erm-seed0", "erm-seed1", "zeroshot-seed0", "zeroshot-seed1"]


def test_curves_are_those_of_the_training_log(logged):
    log, result = logged
    for seed in result.seeds:
        history = result.artifacts.histories["erm", seed]
        events = read_events(log / "run" / f"erm-seed{seed}")
        assert history["step"].tolist() == [10, 20, 30, 40]
        for name in ("loss", "val worst-class", "val group 3"):
            expected = dict(zip(history["step"].tolist(), history[name].tolist(), strict=True))
            assert curve(events, f"training/{name}") == pytest.approx(expected)


def test_final_metrics_are_those_of_the_result_by_selection(logged):
    log, result = logged
    for method in ("zeroshot", "erm"):
        seed = result.methods[method].seeds[1]
        events = read_events(log / "run" / f"{method}-seed1")
        for selection, evaluation in seed.by_selection.items():
            for split in ("val", "test"):
                logged_value = curve(events, f"{split}/{selection}/worst_group")
                expected = getattr(evaluation, split).worst_group
                assert logged_value == {0: pytest.approx(expected)}
    assert not [name for name in events.Tags()["tensors"] if "groups" in name.split("/")[-1:]]


def test_settings_that_a_method_depends_on_are_its_hyperparameters(logged):
    log, _ = logged
    erm = parameters(read_events(log / "run" / "erm-seed1"))
    assert (erm["method"], erm["seed"], erm["erm_lr"]) == ("erm", 1, 3e-4)
    assert "adapter_dim" not in erm
    zeroshot = parameters(read_events(log / "run" / "zeroshot-seed0"))
    assert zeroshot == {"method": "zeroshot", "seed": 0, "selection": "inferred-groups"}


def test_the_text_has_the_recommendation_and_the_data(logged):
    log, result = logged
    events = read_events(log / "run")
    shown = text(events)
    assert shown.startswith(format_recommendation(result))
    assert "| dataset | toy |" in shown
    assert "| model | none |" in shown
    assert HPARAMS not in events.Tags()["tensors"]


def test_the_points_of_a_grid_have_their_settings_and_means(tmp_path):
    result = make_result()
    TensorBoardTracker(tmp_path).log(track_grid(result, "grid"))
    best = read_events(tmp_path / "grid" / "cfr-point3")
    assert parameters(best) == {"method": "cfr", "state": "complete", "lr": 0.1}
    assert curve(best, "val/worst_class") == {0: pytest.approx(0.625)}
    assert curve(best, "test/average_std") == {0: pytest.approx(0.5 / 2**0.5)}
    failed = read_events(tmp_path / "grid" / "cfr-point0")
    assert parameters(failed)["state"] == "failed"
    assert text(failed) == "seed 0: CFR diverged"
    assert "val/worst_class" not in failed.Tags()["tensors"]
    reference = read_events(tmp_path / "grid" / "zeroshot-reference")
    assert curve(reference, "val/average") == {0: 0.25}
    shown = text(read_events(tmp_path / "grid"))
    assert result.note in shown
    assert result.best_command in shown


def test_a_second_run_of_one_name_does_not_continue_the_curves_of_the_first(tmp_path):
    for number in (1, 2, 3):
        TensorBoardTracker(tmp_path).log(TrackedRun("run", metrics={"number": number}))
    found = {each.name: curve(read_events(each), "number")[0] for each in tmp_path.iterdir()}
    assert found == {"run": 1, "run-2": 2, "run-3": 3}


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CacheError) as error:
        TensorBoardTracker(tmp_path / "file" / "log")
    assert str(error.value) == (
        f"{tmp_path}/file/log/events: expected {tmp_path}/file to be a folder; name another one"
    )
    TensorBoardTracker(tmp_path / "new")
    assert not (tmp_path / "new").exists()  # The first run that is logged creates it.
