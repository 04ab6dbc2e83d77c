"""Real processes: two that write one file, one that is killed, one that fills the disk."""

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
from tests.cache.examples import ROOT, make_cache, run_python, same

N, DIM = 4000, 256
EXTRACT = """
import resource, sys
from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.flat_rows import FlatRows
from clip_cfr.cache.write.resumable import ResumableWriter
from tests.cache.examples import make_cache

def grow(path, batch_size):
    cache = make_cache(n=4000, dim=256, width=2)
    with ResumableWriter(path, {"model": "m"}, 4000, 256, "float16") as growing:
        print("began at", growing.next_row, flush=True)
        for start in range(growing.next_row, 4000, batch_size):
            stop = start + batch_size
            growing.append(cache.features[start:stop], cache.valid[start:stop])
            print(growing.next_row, flush=True)
        growing.finish(cache.dataset, cache.rows, cache.head, cache.texts, cache.provenance)
"""
GROW = EXTRACT + "grow(sys.argv[1], int(sys.argv[2]))"


def expected():
    return make_cache(n=N, dim=DIM, width=2)


def start(path: Path, batch_size: int) -> subprocess.Popen[str]:
    """A process that grows a cache and prints how many rows are committed."""
    return subprocess.Popen(
        [sys.executable, "-c", GROW, str(path), str(batch_size)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )


def wait_for_row(process: subprocess.Popen[str], row: int) -> int:
    """The number of committed rows, once it has reached `row`."""
    for line in process.stdout:
        if line.strip().isdigit() and int(line) >= row:
            return int(line)
    raise AssertionError("the process ended too early")


def end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    process.wait()
    process.stdout.close()


def test_a_killed_process_loses_nothing_that_was_committed(tmp_path):
    path, committed = tmp_path / "a.h5", 0
    for row in (300, 1500, 2800):
        process = start(path, batch_size=50)
        assert process.stdout.readline() == f"began at {committed}\n"
        committed = wait_for_row(process, row)
        end(process, signal.SIGKILL)
        with ResumableWriter(path, {"model": "m"}, N, DIM, "float16") as growing:
            assert growing.next_row >= committed
            committed = growing.next_row
    assert run_python(GROW, path, 333).stdout.startswith(f"began at {committed}\n")
    assert same(read_cache(path), expected())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_ended_while_it_finishes_loses_nothing(tmp_path, number):
    delays = random.Random(0)
    for attempt in range(2):
        path = tmp_path / f"{attempt}.h5"
        process = start(path, batch_size=N)
        wait_for_row(process, N)
        time.sleep(delays.uniform(0.01, 0.045))
        end(process, number)
        # Not by a segmentation fault of the HDF5 library.
        assert process.returncode in (0, -number)
        if not path.exists():
            assert run_python(GROW, path, 333).stdout == f"began at {N}\n"
        assert same(read_cache(path), expected())


class Interrupted(FlatRows):
    """Features that Ctrl-C is pressed in the middle of."""

    def __getitem__(self, rows: slice) -> np.ndarray:
        if rows.start > 0:
            signal.raise_signal(signal.SIGINT)
        return super().__getitem__(rows)


def test_ctrl_c_waits_for_hdf5_and_leaves_nothing(tmp_path):
    cache, flat = expected(), tmp_path / "flat"
    flat.write_bytes(cache.features.tobytes())
    features = Interrupted(flat, cache.features.shape, cache.features.dtype)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        write_cache(tmp_path / "a.h5", replace(cache, features=features))
    assert signal.getsignal(signal.SIGINT) == handler
    assert list(tmp_path.iterdir()) == [flat]


def test_a_second_writer_is_told_and_disturbs_nothing(tmp_path):
    path = tmp_path / "a.h5"
    with ResumableWriter(path, {"model": "m"}, N, DIM, "float16") as growing:
        growing.append(expected().features[:10], expected().valid[:10])
        second = run_python(
            EXTRACT + "try: grow(sys.argv[1], 9)\nexcept CacheError as e: print(e)", path
        )
        message = (
            f"{path}: another process is writing this file; wait until it ends, or write another "
            "file (lock: a.h5.lock)"
        )
        assert (second.stdout, second.stderr) == (message + "\n", "")
        with pytest.raises(CacheError) as error:
            write_cache(path, expected())
        assert str(error.value) == message
        growing.append(expected().features[10:], expected().valid[10:])
    assert run_python(GROW, path, 9).stdout == f"began at {N}\n"
    assert same(read_cache(path), expected())


def test_a_reader_is_not_disturbed_by_a_writer(tmp_path):
    path = tmp_path / "a.h5"
    write_cache(path, make_cache())
    with ResumableWriter(path, {}, N, DIM, "float16", overwrite=True):
        assert same(read_cache(path), make_cache())


FILL_DISK = (
    EXTRACT
    + """
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    grow(sys.argv[1], 500)
except CacheError as error:
    print(error)
"""
)


def test_a_disk_that_fills_up_keeps_every_committed_row(tmp_path):
    path = tmp_path / "a.h5"
    # 1,300 rows of 512 bytes: the third batch is cut in two.
    done = run_python(FILL_DISK, path, 1300 * 512)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == (
        f"{path}: cannot be written: File too large; 1000 of 4000 rows are safe in a.h5.partial; "
        "about 3,584,000 bytes are needed to finish; make room and run the same command again"
    )
    assert (tmp_path / "a.h5.partial").stat().st_size == 1000 * 512
    assert not path.exists()
    assert run_python(GROW, path, 500).stdout.startswith("began at 1000\n")
    assert same(read_cache(path), expected())


def test_a_disk_that_fills_up_at_the_end_keeps_every_row(tmp_path):
    path = tmp_path / "a.h5"
    # Room for the rows, but not for the finished file, which holds them and more.
    done = run_python(FILL_DISK, path, N * DIM * 2 + 100)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == (
        f"{path}: cannot be written: File too large; 4000 of 4000 rows are safe in a.h5.partial; "
        "about 2,178,128 bytes are needed to finish; make room and run the same command again"
    )
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.h5.journal", "a.h5.partial"]
    assert run_python(GROW, path, 500).stdout == f"began at {N}\n"
    assert same(read_cache(path), expected())
