"""`study` and `run_study` on a tiny cache: results, files, resume, attributes, every refusal."""

import csv
import json
import sys
from dataclasses import asdict, replace

import pytest
from click.testing import CliRunner

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.studies import load_study, run_study
from clip_cfr.calibrate.studies.check import check_cache
from clip_cfr.calibrate.studies.run import check_not_varied
from clip_cfr.cli import main
from tests.calibrate.synthetic import cache_of, quick_settings

SETTINGS = quick_settings()


def as_options(settings: Settings) -> list[str]:
    """Return the options that give settings, without those that have their default."""
    changed = {k: v for k, v in asdict(settings).items() if v != getattr(Settings(), k)}
    return [word for k, v in changed.items() for word in (f"--{k.replace('_', '-')}", str(v))]


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, ["study", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def cache_file(tmp_path_factory, task):
    path = tmp_path_factory.mktemp("caches") / "toy.h5"
    write_cache(path, cache_of(task))
    return path


@pytest.fixture(scope="module")
def finished(cache_file, tmp_path_factory):
    """Run the study of DPS with two seeds; return its folder and what was printed."""
    out = tmp_path_factory.mktemp("studies") / "dps"
    options = ["--cache", cache_file, "--seeds", 2, "--out", out, *as_options(SETTINGS)]
    return out, invoke("dps-uncertainty", *options)


def test_prints_the_table_the_answer_and_the_criterion(finished):
    out, printed = finished
    text = " ".join(printed.stdout.split())
    assert text.startswith("synthetic: dps-uncertainty, accuracy in per cent seeds: 2; differences")
    assert "Should DPS weight the rows of a centroid by their certainty?" in text
    assert "By val inferred-groups " in text
    assert "inferred-groups: the mean of worst-class accuracy, average accuracy, and mean" in text
    assert text.endswith("Heads are selected by val inferred-groups; never on test.")
    assert "3 of 3: positive dps, dps_weighting entropy: val inferred-groups" in printed.stderr
    assert printed.stderr.endswith(f"study written to {out}\n")


def test_a_finished_study_is_resumed_and_returns_what_it_wrote(finished, cache_file, capsys):
    out, _ = finished
    result = run_study("dps-uncertainty", [cache_file], SETTINGS, seeds=2, out=out)
    assert "3 of 3 points are finished already" in capsys.readouterr().err
    assert json.loads((out / "study.json").read_text()) == result.to_json()
    with open(out / "study.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [[str(value) for value in row.values()] for row in result.tidy_rows()]
    assert [list(row.values()) for row in rows] == expected
    assert (out / "study.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_json_has_the_accuracies_and_gains_of_each_point(finished):
    [found] = json.loads((finished[0] / "study.json").read_text())["caches"]
    plain, confidence, _ = found["points"]
    assert (found["judged_by"], found["reference"]) == ("worst-group", "none")
    assert len(found["answer"]) == 2
    assert not found["left_out"]
    assert len(plain["test_of_seeds"]) == 2
    assert plain["gain"] is None
    assert plain["calibration_size"] == confidence["calibration_size"] > 0
    low, high = confidence["gain"]["interval"]
    assert low <= confidence["gain"]["margin"] <= high
    assert 0 < found["train_minority_share"] < plain["minority_share"] <= 1


def test_other_settings_are_refused_in_a_folder(finished, cache_file):
    other = replace(SETTINGS, alpha=2.0)
    with pytest.raises(CalibrationError, match=r"alpha is 1\.0, here 2\.0; name another folder"):
        run_study("dps-uncertainty", [cache_file], other, seeds=2, out=finished[0])


def test_without_matplotlib_everything_but_the_plot_is_written(
    finished, cache_file, monkeypatch, capsys
):
    (finished[0] / "study.png").unlink(missing_ok=True)
    (finished[0] / "study.json").unlink()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run_study("dps-uncertainty", [cache_file], SETTINGS, seeds=2, out=finished[0])
    message = "warning: no plot: the package matplotlib is missing; install it with: pip install"
    assert f"{message} 'clip-cfr[report]'" in capsys.readouterr().err
    assert (finished[0] / "study.json").exists()
    assert not (finished[0] / "study.png").exists()


def test_without_attributes_the_points_that_need_them_are_left_out(task, tmp_path):
    path, cache = tmp_path / "toy.h5", cache_of(task)
    rows = replace(cache.rows, attributes=0 * cache.rows.attributes)
    texts = replace(cache.texts, attribute_names=(), attribute_prompts=())
    write_cache(path, replace(cache, rows=rows, texts=texts))
    found = check_cache(load_study("selection"), path, SETTINGS, (0,), None, None)
    assert not found.has_attributes
    assert [each.label for each in found.points] == ["own val"]
    assert found.left_out == {
        "correlated val": "the cache has no attributes, so val cannot be drawn with their training "
        "correlation"
    }


def test_points_that_cannot_be_fitted_have_their_reason(cache_file, tmp_path):
    settings = replace(SETTINGS, calibration_minimum=10**6)
    with pytest.raises(CalibrationError, match=r"^no point could be fitted: the identification"):
        run_study("dps-uncertainty", [cache_file], settings, seeds=1, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "x"}, "there is no study 'x', expected one of: strategies, "),
        ({"caches": []}, r"caches is \[\], expected a list of cache files"),
        ({"caches": "a.h5"}, "caches is 'a.h5', expected a list of cache files"),
        ({"caches": ["a.h5", "a.h5"]}, "--cache a.h5 is given twice; give it once"),
        ({"seeds": 0}, "seeds is empty, expected at least one"),
    ],
)
def test_refuses_arguments(arguments, message, tmp_path):
    given = {"name": "selection", "caches": ["a.h5"], "out": tmp_path / "out", **arguments}
    with pytest.raises(SettingsError, match=message):
        run_study(given.pop("name"), given.pop("caches"), **given)
    assert not (tmp_path / "out").exists()


def test_refuses_what_a_point_cannot_be_fitted_with_before_anything_runs(cache_file, tmp_path):
    with pytest.raises(SettingsError, match="num_negatives is 5000, expected at most"):
        run_study(
            "strategies", [cache_file], replace(SETTINGS, num_negatives=5000), out=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_refuses_a_folder_of_something_else(cache_file, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CacheError, match="exists and is not a study folder; name another one"):
        run_study("selection", [cache_file], SETTINGS, out=tmp_path)
    with pytest.raises(CacheError, match="expected a folder, found a file"):
        run_study("selection", [cache_file], SETTINGS, out=tmp_path / "notes.txt")


def test_refuses_a_setting_that_the_study_varies():
    check_not_varied("strategies", {"lr"})
    message = r"^--negative-pool: the study negatives varies it; leave it out$"
    with pytest.raises(SettingsError, match=message):
        check_not_varied("negatives", {"negative_pool"})


def test_usage_errors_name_the_option(cache_file):
    done = invoke("negatives", "--cache", cache_file, "--batch-size", 32, code=2)
    assert "Error: --batch-size: the study negatives varies it; leave it out" in done.stderr
    done = invoke("x", "--cache", cache_file, code=2)
    assert "Invalid value for 'NAME': 'x' is not one of 'strategies'" in done.stderr
