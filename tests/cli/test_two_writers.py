"""Two processes that write one run folder: one result is written, the other process is told."""

import subprocess
import sys
from pathlib import Path

from clip_cfr.cache.runs.grid import read_grid
from clip_cfr.cache.runs.run import read_run
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import make_cache
from tests.cli.test_calibrate import make_cache as make_task_cache

RESULTS = ["grid.json", "leaderboard.csv", "study.db"]
ROOT = Path(__file__).parents[2]


def start_calibrate(cache: Path, out: Path, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "cli.py"), "calibrate", "--method", "zeroshot"]
    command += ["--cache", str(cache), "--out", str(out), "--seed", str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_grid(cache: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "cli.py"), "grid", "--set", "lr=1e-4,1e-3,1e-2"]
    command += ["--cache", str(cache), "--out", str(out), "--method", "cfr", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_grid_that_is_being_fitted_is_not_overwritten(tmp_path):
    cache, out = tmp_path / "a.h5", tmp_path / "grid"
    write_cache(cache, make_task_cache())
    quick = ("--erm-steps", "100", "--identification-steps", "100", "--identification-lr", "1e-4")
    running = start_grid(cache, out, "--steps", "50", *quick)
    lines = iter(running.stderr)
    assert any(line.startswith("reference ERM") for line in lines)
    other = start_grid(cache, out, "--steps", "50", *quick, "--overwrite")
    assert other.communicate(timeout=120)[1] == (
        f"Error: {out}: another process is fitting the points of this grid; wait until it ends, or "
        "name another folder with --out\n"
    )
    assert other.returncode == 1
    running.communicate(timeout=120)
    assert running.returncode == 0
    assert len(read_grid(out)["points"]) == 3
    again = start_grid(cache, out, "--steps", "20", *quick, "--overwrite")
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert sorted(each.name for each in out.iterdir()) == RESULTS


def test_of_two_calibrations_into_one_folder_one_is_refused(tmp_path):
    cache, out = tmp_path / "a.h5", tmp_path / "run"
    write_cache(cache, make_cache(n=60, subjects=False))
    processes = [start_calibrate(cache, out, seed) for seed in (3, 4)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) == [0, 1], errors
    # Of the one that was refused, after the other has finished or before.
    refused = errors[codes.index(1)].splitlines()[-1]
    assert refused.startswith(
        (
            f"Error: {out}: another process is writing this file; wait until it ends, or write ",
            f"Error: {out}: the run exists; replace it with --overwrite or name another",
        )
    )
    assert read_run(out).config["seeds"] == [3 + codes.index(0)]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.h5", "run"]
