"""Two processes that write one run folder: one result is written, the other process is told."""

import subprocess
import sys
from pathlib import Path

from clip_cfr.cache.runs.run import read_run
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import make_cache

ROOT = Path(__file__).parents[2]


def start_calibrate(cache: Path, out: Path, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "cli.py"), "calibrate", "--method", "zeroshot"]
    command += ["--cache", str(cache), "--out", str(out), "--seed", str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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
