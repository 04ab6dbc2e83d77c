"""The report of a run with attributes named in words that the run itself has not."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.runs.grid import write_grid
from clip_cfr.cache.runs.run import read_run, write_run
from clip_cfr.calibrate.comparison.result import Result
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.explain.explain import explain_run
from clip_cfr.calibrate.grid.leaderboard import leaderboard_columns
from clip_cfr.calibrate.report import write_report
from clip_cfr.calibrate.report.options import ReportOptions
from clip_cfr.calibrate.report.pictures import Pictures
from clip_cfr.calibrate.report.source import read_source
from clip_cfr.cli import main
from tests.calibrate.grid.results import make_point, make_result
from tests.calibrate.report.conftest import NAMED

OF_NAMED = ("worst_named_group", "named_groups")
ATTRIBUTE = [part for value in NAMED for part in ("--attribute", value)]


def without_named(value):
    """Return JSON without the metrics of named groups."""
    if isinstance(value, list):
        return [without_named(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {k: v for k, v in value.items() if not k.startswith(OF_NAMED)}
    return {key: without_named(each) for key, each in kept.items()}


@pytest.fixture(scope="module")
def plain(reported, tmp_path_factory) -> Path:
    """The run as if no attribute had been named."""
    run, folder = read_run(reported.run), tmp_path_factory.mktemp("plain")
    metrics = {**without_named(run.metrics), "named": None}
    config = {**run.config, "named": None}
    write_run(folder / "run", replace(run, config=config, metrics=metrics, named_attributes={}))
    return folder / "run"


@pytest.fixture(scope="module")
def options(reported) -> ReportOptions:
    words = reported.cache.parent / "words.h5"
    return ReportOptions(rows=0, attributes=NAMED, attribute_margin=0.05, words=words)


def test_the_metrics_are_those_that_the_calibration_has(reported, plain, options):
    expected = Result.from_json(read_run(reported.run).metrics)
    assert Result.from_json(read_run(plain).metrics).named is None
    found = read_source(plain, options, Pictures(None, 0)).result
    assert found.named == expected.named
    for name, method in expected.methods.items():
        for ours, theirs in zip(found.methods[name].seeds, method.seeds, strict=True):
            chosen = found.selection
            assert ours.by_selection[chosen] == theirs.by_selection[chosen]


def test_explain_has_the_accuracies_of_the_first_seed(reported, plain, options):
    names = {"attributes": NAMED, "attribute_margin": 0.05, "words": options.words}
    (found,) = explain_run(plain, **names).named
    (stored,) = explain_run(reported.run).named
    assert stored == found
    result = Result.from_json(read_run(reported.run).metrics)
    assert found.summary.counts == result.named.splits[0]["val"].counts
    assert found.summary.agreement == result.named.splits[0]["val"].agreement
    seed = result.recommended_head[1] if "erm" in result.recommended_head else 0
    expected = result.methods["erm"].seeds[seed].by_selection[result.selection].val.named_groups
    assert [each.accuracies["erm"] for each in found.groups] == [
        pytest.approx(each.accuracy) for each in expected
    ]


def test_the_page_has_their_bars_and_the_command(plain, options, tmp_path):
    page = tmp_path / "page.html"
    given = ["report", plain, "--out", page, *ATTRIBUTE, "--words", options.words, "--rows", 0]
    result = CliRunner().invoke(main, list(map(str, given)))
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    assert ">Accuracy by groups named in words</h2>" in text
    assert "Agreement of the values with the attribute of the cache on the test split" in text
    command = f"--attribute 'on water' --words {options.words} --overwrite"
    assert command in unescape(re.sub("</?span[^>]*>", "", text))


def error_of(kind, folders, tmp_path, **options) -> str:
    with pytest.raises(kind) as error:
        write_report(folders, tmp_path / "page.html", rows=0, **options)
    assert not (tmp_path / "page.html").exists()
    return str(error.value)


def test_wrong_uses_are_named(reported, plain, options, tmp_path):
    named = {"attributes": NAMED, "words": options.words}
    assert error_of(SettingsError, [reported.run], tmp_path, **named) == (
        f"{reported.run} was calibrated with attributes named in words, which the report shows; "
        "leave out --attribute here, or look at others with explain"
    )
    assert error_of(SettingsError, [plain], tmp_path, words=options.words).startswith(
        "words is of use with attributes named in words only: add --attribute"
    )
    assert error_of(CalibrationError, [plain], tmp_path, **named, attribute_margin=1.5).startswith(
        "--attribute-margin 1.5: no row of the val split has a value of 'attribute'; "
    )
    grid = tmp_path / "grid"
    grid.mkdir()
    point = make_point(0, val=(0.5, 0.6), test=(0.4, 0.5), settings={"lr": 0.1})
    result = make_result([point])
    write_grid(grid, result.to_json(), leaderboard_columns(result))
    assert error_of(SettingsError, [grid], tmp_path, **named) == (
        "a grid has no accuracies in groups named in words; name the attributes in grid, or give a "
        "run to the report"
    )


def test_the_cache_and_the_predictions_are_needed(plain, options, tmp_path):
    run = read_run(plain)
    moved = replace(run, config={**run.config, "cache": str(tmp_path / "gone.h5")})
    write_run(tmp_path / "moved", moved)
    named = {"attributes": NAMED, "words": options.words}
    assert error_of(SettingsError, [tmp_path / "moved"], tmp_path, **named) == (
        f"{tmp_path / 'moved'}: --attribute needs its cache. The cache of this run is not at hand: "
        f"{tmp_path / 'gone.h5'} was not found; name it with --cache."
    )
    columns = {key: each for key, each in run.predictions.items() if key != "cfr_seed1"}
    write_run(tmp_path / "less", replace(run, predictions=columns))
    assert error_of(CacheError, [tmp_path / "less"], tmp_path, **named).startswith(
        f"{tmp_path / 'less'}: predictions.csv.gz: expected the column cfr_seed1, found row, id, "
    )
