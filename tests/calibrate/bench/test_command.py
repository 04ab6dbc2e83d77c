"""The command: every path of the benchmark at a tiny size."""

import json
from math import isfinite

import pytest
from click.testing import CliRunner
from rich.console import Console

from clip_cfr.cache.console import benchmark_table
from clip_cfr.calibrate.bench.table import FIGURES, ROWS, title
from clip_cfr.cli import main

# Differences of times, and what a machine or an installation may lack.
MAY_BE_NULL = {"gpu_grid_ratio"}
MAY_BE_NEGATIVE = {"validation_fraction"}


@pytest.fixture(scope="module")
def done():
    done = CliRunner().invoke(main, ["bench", "train", "--quick", "--repeats", "1", "--json"])
    assert done.exit_code == 0, done.output
    return done


def test_every_figure_is_at_the_top_level(done):
    found = json.loads(done.stdout)
    assert set(found) == {*FIGURES, "rows", "steps", "repeats", "not_measured"}
    assert (found["rows"], found["steps"], found["repeats"]) == ([600, 120, 120], 40, 1)
    assert {name for name in FIGURES if found[name] is None} == set(found["not_measured"])
    assert set(found["not_measured"]) <= MAY_BE_NULL
    for name in set(FIGURES) - set(found["not_measured"]):
        assert isfinite(found[name])
        assert found[name] > 0 or name in MAY_BE_NEGATIVE


def test_figures_are_consistent_with_each_other(done):
    found = json.loads(done.stdout)
    parts = found["startup_import_seconds"] + found["startup_compile_seconds"]
    assert found["startup_seconds"] == parts < found["calibrate_seconds"]


def test_progress_goes_to_standard_error(done):
    assert done.stderr.splitlines()[:3] == [
        "measuring calibrate, twice, and a grid",
        "measuring three seeds of calibrate on a small cache, twice, and a grid",
        "measuring calibrate on a cache of the size of CelebA",
    ]


def test_the_table_shows_every_figure_with_its_unit_and_meaning(capsys):
    values = dict.fromkeys(FIGURES, 0.0125) | {"gpu_grid_ratio": None}
    missing = {"gpu_grid_ratio": "there is no GPU here"}
    about = {"rows": [4795, 1199, 5794], "repeats": 5, "not_measured": missing}
    Console(width=160).print(benchmark_table(ROWS, title, values | about))
    shown = capsys.readouterr().out
    assert (
        "training with 4795 rows, 1199 of validation, 5794 of test; medians of 5 repeats" in shown
    )
    for name, meaning, unit, _ in ROWS:
        [line] = [each for each in shown.splitlines() if each.split()[:1] == [name]]
        assert meaning in line
        assert unit in line
    assert "12.50 ms" in shown
    assert "gpu_grid_ratio: not measured: there is no GPU here" in shown
