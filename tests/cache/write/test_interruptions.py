"""Processes that write one file together, are killed, or fill the disk."""

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.flat_rows import FlatRows
from clip_cfr.cache.read.reader import read_cache
from clip_cfr.cache.write.resumable import ResumableWriter
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import ROOT, assert_identical, make_cache, run_python

N, DIM = 4000, 256
PROGRAM = """
import resource, sys
from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.flat_rows import FlatRows
from clip_cfr.cache.write.resumable import ResumableWriter
from tests.cache.examples import make_cache

def write(path, batch_size):
    cache = make_cache(n=4000, dim=256, width=2)
    with ResumableWriter(path, {"model": "m"}, 4000, 256, "float16") as writer:
        print("starts at", writer.next_row, flush=True)
        for start in range(writer.next_row, 4000, batch_size):
            stop = start + batch_size
            writer.append(cache.features[start:stop], cache.valid[start:stop])
            print(writer.next_row, flush=True)
        writer.finish(cache.dataset, cache.rows, cache.head, cache.texts, cache.provenance)
"""
WRITE = PROGRAM + "write(sys.argv[1], int(sys.argv[2]))"


def expected():
    return make_cache(n=N, dim=DIM, width=2)


def start(path: Path, batch_size: int) -> subprocess.Popen[str]:
    """Start a process that writes a cache and prints the number of saved rows."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path), str(batch_size)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )


def wait_for_row(process: subprocess.Popen[str], row: int) -> int:
    """Wait until at least `row` rows are saved, and return their number."""
    for line in process.stdout:
        if line.strip().isdigit() and int(line) >= row:
            return int(line)
    raise AssertionError("the process ended too early")


def end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    process.wait()
    process.stdout.close()


def test_a_killed_process_loses_no_saved_row(tmp_path):
    path, committed = tmp_path / "a.h5", 0
    for row in (300, 1500, 2800):
        process = start(path, batch_size=50)
        assert process.stdout.readline() == f"starts at {committed}\n"
        committed = wait_for_row(process, row)
        end(process, signal.SIGKILL)
        with ResumableWriter(path, {"model": "m"}, N, DIM, "float16") as writer:
            assert writer.next_row >= committed
            committed = writer.next_row
    assert run_python(WRITE, path, 333).stdout.startswith(f"starts at {committed}\n")
    assert_identical(read_cache(path), expected())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_killed_while_it_finishes_loses_no_row(tmp_path, number):
    delays = random.Random(0)
    for attempt in range(2):
        path = tmp_path / f"{attempt}.h5"
        process = start(path, batch_size=N)
        wait_for_row(process, N)
        time.sleep(delays.uniform(0.01, 0.045))
        end(process, number)
        # HDF5 did not end it by a segmentation fault.
        assert process.returncode in (0, -number)
        if not path.exists():
            assert run_python(WRITE, path, 333).stdout == f"starts at {N}\n"
        assert_identical(read_cache(path), expected())


class Interrupted(FlatRows):
    """Features that raise SIGINT while they are read."""

    def __getitem__(self, rows: slice) -> np.ndarray:
        if rows.start > 0:
            signal.raise_signal(signal.SIGINT)
        return super().__getitem__(rows)


def test_ctrl_c_waits_for_hdf5_and_leaves_no_file(tmp_path):
    cache, flat = expected(), tmp_path / "flat"
    flat.write_bytes(cache.features.tobytes())
    features = Interrupted(flat, cache.features.shape, cache.features.dtype)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        write_cache(tmp_path / "a.h5", replace(cache, features=features))
    assert signal.getsignal(signal.SIGINT) == handler
    assert list(tmp_path.iterdir()) == [flat]


def test_a_second_writer_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    with ResumableWriter(path, {"model": "m"}, N, DIM, "float16") as writer:
        writer.append(expected().features[:10], expected().valid[:10])
        second = run_python(
            PROGRAM + "try: write(sys.argv[1], 9)\nexcept CacheError as e: print(e)", path
        )
        message = (
            f"{path}: another process is writing this file; wait until it ends, or write another "
            "file (lock: a.h5.lock)"
        )
        assert (second.stdout, second.stderr) == (message + "\n", "")
        with pytest.raises(CacheError) as error:
            write_cache(path, expected())
        assert str(error.value) == message
        writer.append(expected().features[10:], expected().valid[10:])
    assert run_python(WRITE, path, 9).stdout == f"starts at {N}\n"
    assert_identical(read_cache(path), expected())


def test_a_finished_file_is_readable_while_it_is_overwritten(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, make_cache())
    with ResumableWriter(path, {}, N, DIM, "float16", overwrite=True):
        assert_identical(read_cache(path), make_cache())


FILL_DISK = (
    PROGRAM
    + """
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write(sys.argv[1], 500)
except CacheError as error:
    print(error)
"""
)


def test_a_full_disk_keeps_every_saved_row(tmp_path):
    path = tmp_path / "a.h5"
    # 1,300 rows of 512 bytes: the third batch does not fit.
    done = run_python(FILL_DISK, path, 1300 * 512)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == (
        f"{path}: cannot be written: File too large; 1000 of 4000 rows are safe in a.h5.partial; "
        "about 3,584,000 bytes are needed to finish; make room and run the same command again"
    )
    assert (tmp_path / "a.h5.partial").stat().st_size == 1000 * 512
    assert not path.exists()
    assert run_python(WRITE, path, 500).stdout.startswith("starts at 1000\n")
    assert_identical(read_cache(path), expected())


def test_a_full_disk_at_the_end_keeps_every_row(tmp_path):
    path = tmp_path / "a.h5"
    # Space for the rows, but not for the finished file.
    done = run_python(FILL_DISK, path, N * DIM * 2 + 100)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == (
        f"{path}: cannot be written: File too large; 4000 of 4000 rows are safe in a.h5.partial; "
        "about 2,178,128 bytes are needed to finish; make room and run the same command again"
    )
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.h5.journal", "a.h5.partial"]
    assert run_python(WRITE, path, 500).stdout == f"starts at {N}\n"
    assert_identical(read_cache(path), expected())
