"""A PyTorch loop is compared only if it computes the losses of the compiled loop."""

import json
import sys

import numpy as np
import pytest

from clip_cfr.calibrate.bench import pytorch_loops
from clip_cfr.calibrate.bench.sizes import QUICK
from clip_cfr.calibrate.bench.training import (
    compute_first_losses,
    make_benchmark,
    make_cfr_segment,
)

NAMES = {"pytorch_loop", "pytorch_vectorised"}


@pytest.fixture(scope="module")
def experiment():
    return make_benchmark(QUICK).make_experiment()


@pytest.fixture(scope="module")
def segment(experiment):
    return make_cfr_segment(experiment)


@pytest.fixture(scope="module")
def losses(experiment, segment):
    return compute_first_losses(experiment, segment, pytorch_loops.CHECKED_STEPS)


def test_both_loops_compute_our_losses(segment, losses, tmp_path):
    # Equal losses would not test the comparison.
    assert np.ptp(losses) > 100 * pytorch_loops.TOLERANCE
    found = pytorch_loops.find_comparable_loops(QUICK, segment, losses, tmp_path)
    assert found.objections == {}
    assert {loop.name for loop in found.loops} == NAMES


def test_a_loop_with_other_losses_is_refused(segment, losses, tmp_path, monkeypatch):
    printed = {"losses": [float(loss) + 0.25 for loss in losses], "seconds": 1.0}
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"print({json.dumps(json.dumps(printed))})")
    monkeypatch.setattr(pytorch_loops, "FOLDER", tmp_path)
    found = pytorch_loops.find_comparable_loops(QUICK, segment, losses, tmp_path)
    assert found.loops == []
    expected = "its losses differ from ours by up to 0.25 in the first 20 steps"
    assert found.objections == dict.fromkeys(NAMES, expected)


def test_a_loop_that_fails_says_why(segment, losses, tmp_path, monkeypatch):
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('out of luck')")
    monkeypatch.setattr(pytorch_loops, "FOLDER", tmp_path)
    found = pytorch_loops.find_comparable_loops(QUICK, segment, losses, tmp_path)
    assert found.objections == {
        name: f"{name}.py ended with exit code 1: out of luck" for name in NAMES
    }


def test_without_pytorch_no_loop_is_compared(segment, losses, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = pytorch_loops.find_comparable_loops(QUICK, segment, losses, tmp_path)
    assert found.loops == []
    assert found.measure() == {}
    expected = "PyTorch is not installed: pip install 'clip-cfr[extract]'"
    assert found.objections == dict.fromkeys(NAMES, expected)
