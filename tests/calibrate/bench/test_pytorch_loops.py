"""PyTorch loops train what we train, or are not compared with."""

import json
import sys

import numpy as np
import pytest

from clip_cfr.calibrate.bench import pytorch_loops as peers
from clip_cfr.calibrate.bench.sizes import QUICK
from clip_cfr.calibrate.bench.training import first_losses, set_up

NAMES = {"pytorch_loop", "pytorch_vectorised"}


@pytest.fixture(scope="module")
def training():
    return set_up(QUICK)


@pytest.fixture(scope="module")
def segment(training):
    return training.cfr_segment(training.experiment())


@pytest.fixture(scope="module")
def losses(training, segment):
    return first_losses(training, segment, peers.CHECKED_STEPS)


def test_both_loops_compute_our_losses(segment, losses, tmp_path):
    assert np.ptp(losses) > 100 * peers.TOLERANCE  # equal ones would prove little
    found = peers.invite(QUICK, segment, losses, tmp_path)
    assert found.excuses == {}
    assert {peer.name for peer in found.taking_part} == NAMES


def test_a_loop_with_other_losses_is_refused(segment, losses, tmp_path, monkeypatch):
    printed = {"losses": [float(loss) + 0.25 for loss in losses], "seconds": 1.0}
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"print({json.dumps(json.dumps(printed))})")
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    found = peers.invite(QUICK, segment, losses, tmp_path)
    assert found.taking_part == []
    expected = "its losses differ from ours by up to 0.25 in the first 20 steps"
    assert found.excuses == dict.fromkeys(NAMES, expected)


def test_a_loop_that_fails_says_why(segment, losses, tmp_path, monkeypatch):
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('out of luck')")
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    found = peers.invite(QUICK, segment, losses, tmp_path)
    assert found.excuses == {
        name: f"{name}.py ended with exit code 1: out of luck" for name in NAMES
    }


def test_without_pytorch_there_is_nothing_to_compare_with(segment, losses, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = peers.invite(QUICK, segment, losses, tmp_path)
    assert found.taking_part == []
    assert found.measure() == {}
    expected = "PyTorch is not installed: pip install 'clip-cfr[extract]'"
    assert found.excuses == dict.fromkeys(NAMES, expected)
