"""The benchmark of training measures, and says what it measured; no test asserts a speed."""

import json

import pytest
from click.testing import CliRunner

from calibrate import bench
from cli import main


def test_figures_are_consistent_with_each_other():
    found = bench.bench_train(repeats=1, steps=8)
    step_gflops = 4 * (128 + 128 + 256) * 1024 * 768 / found["cfr_step_seconds"] / 1e9
    assert found["gemm_fraction"] * found["gemm_gflops"] == pytest.approx(step_gflops)
    assert found["erm_step_seconds"] > 0
    assert (found["steps"], found["repeats"]) == (8, 1)


def test_the_command_prints_its_figures(monkeypatch):
    figures = {"gemm_gflops": 300.0, "erm_step_seconds": 2e-3, "cfr_step_seconds": 6e-3}
    figures |= {"gemm_fraction": 0.85}
    monkeypatch.setattr(bench, "bench_train", lambda repeats: figures | {"repeats": repeats})
    done = CliRunner().invoke(main, ["bench", "train", "--repeats", "2", "--json"])
    assert json.loads(done.stdout) == figures | {"repeats": 2}
    assert "0.85" in CliRunner().invoke(main, ["bench", "train"]).stdout
