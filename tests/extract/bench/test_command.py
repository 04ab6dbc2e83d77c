"""The command: every path of the benchmark at a tiny size."""

import json
from math import isfinite

import pytest
import torch
from click.testing import CliRunner
from rich.console import Console

from clip_cfr.cache.console import benchmark_table
from clip_cfr.cli import main
from clip_cfr.extract.bench.kills import CHUNK
from clip_cfr.extract.bench.table import FIGURES, ROWS, render_scale, title

ABOUT = {
    "scale",
    "repeats",
    "images",
    "device",
    "compute_dtype",
    "batch_size",
    "workers",
    "notes",
    "not_measured",
}


@pytest.fixture(scope="module")
def found():
    done = CliRunner().invoke(main, ["bench", "extract", "--quick", "--repeats", "1", "--json"])
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[0] == "measuring how cost grows: 20, 40 images"
    return json.loads(done.stdout)


def test_every_figure_is_at_the_top_level(found):
    assert set(found) == {*FIGURES, *ABOUT}
    assert {name for name in FIGURES if found[name] is None} == set(found["not_measured"])
    assert found["not_measured"]["speedup_vs_clip_retrieval"].startswith("clip-retrieval ")
    on_gpu = {name for name in FIGURES if name.startswith("gpu_")}
    assert torch.cuda.is_available() or on_gpu <= set(found["not_measured"])
    measured = set(FIGURES) - set(found["not_measured"])
    assert {"pipeline_efficiency", "speedup_vs_transformers_loop", "memory_ratio"} <= measured
    assert all(isfinite(found[name]) and found[name] >= 0 for name in measured)


def test_a_kill_costs_no_more_than_a_batch(found):
    assert 0 <= found["resume_lost_rows"] <= found["resume_chunk_rows"] == CHUNK


def test_the_growth_of_cost_is_shown_row_by_row(found, capsys):
    assert [cost["images"] for cost in found["scale"]] == [20, 40]
    ratio = found["scale"][1]["memory_mb"] / found["scale"][0]["memory_mb"]
    assert found["memory_ratio"] == ratio
    console = Console(width=160)
    console.print(benchmark_table(ROWS, title, found), render_scale(found))
    shown = capsys.readouterr().out
    assert "8 images a turn in batches of 32; means of 1 turns" in shown
    for name, meaning, *_ in ROWS:
        [line] = [each for each in shown.splitlines() if each.split()[:1] == [name]]
        assert meaning in line
    assert "the extract command, through the tiny CLIP" in shown
