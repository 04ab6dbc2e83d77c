"""The command bench extract, at tiny sizes."""

import json
from math import isfinite

import pytest
import torch
from click.testing import CliRunner
from rich.console import Console

from clip_cfr.cache.console import benchmark_table
from clip_cfr.cli import main
from clip_cfr.extract.bench.kills import BATCH_SIZE
from clip_cfr.extract.bench.table import FIGURES, ROWS, figures_title, render_scaling

OTHER_KEYS = {
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
def result():
    done = CliRunner().invoke(main, ["bench", "extract", "--quick", "--repeats", "1", "--json"])
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[0] == "measuring time, memory and file size of 20, 40 images"
    return json.loads(done.stdout)


def test_every_figure_is_at_the_top_level(result):
    assert set(result) == {*FIGURES, *OTHER_KEYS}
    assert {name for name in FIGURES if result[name] is None} == set(result["not_measured"])
    assert result["not_measured"]["speedup_vs_clip_retrieval"].startswith("clip-retrieval ")
    on_gpu = {name for name in FIGURES if name.startswith("gpu_")}
    assert torch.cuda.is_available() or on_gpu <= set(result["not_measured"])
    measured = set(FIGURES) - set(result["not_measured"])
    assert {"pipeline_efficiency", "speedup_vs_transformers_loop", "memory_ratio"} <= measured
    assert all(isfinite(result[name]) and result[name] >= 0 for name in measured)


def test_a_kill_loses_at_most_one_batch(result):
    assert 0 <= result["resume_lost_rows"] <= result["resume_chunk_rows"] == BATCH_SIZE


def test_tables_show_every_figure_and_every_cost(result, capsys):
    assert [cost["images"] for cost in result["scale"]] == [20, 40]
    ratio = result["scale"][1]["memory_mb"] / result["scale"][0]["memory_mb"]
    assert result["memory_ratio"] == ratio
    console = Console(width=160)
    console.print(benchmark_table(ROWS, figures_title, result), render_scaling(result))
    shown = capsys.readouterr().out
    assert "8 images per repeat in batches of 32; means of 1 repeats" in shown
    for name, meaning, *_ in ROWS:
        [line] = [each for each in shown.splitlines() if each.split()[:1] == [name]]
        assert meaning in line
    assert "the command extract with the tiny CLIP" in shown
