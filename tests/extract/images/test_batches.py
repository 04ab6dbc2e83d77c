import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images import batches as batches_module
from clip_cfr.extract.images.batches import CHUNK_SIZE, PixelBatch, load_batches
from clip_cfr.extract.images.preprocessing import Preprocessing
from clip_cfr.extract.images.read import PixelReader
from clip_cfr.extract.images.shared_pixels import SharedPixels
from tests.extraction_process import FORKS, has_ended

PREPROCESSING = Preprocessing(side=4, shorter_side=4, resample=3, mean=(0.5,) * 3, std=(0.5,) * 3)
ROOT = Path(__file__).parents[3]
NAMES = [f"{row}.png" for row in range(100)]


@dataclass(frozen=True)
class ShadeSource:
    """Images of a single value, which is their row index.

    Attributes:
        unreadable: rows that are not images.
        deadly: row that kills the process that reads it.
        stuck: row that is never read, as on a file system that does not answer.
        starving: row whose process runs out of memory, and has none for other images either.
        pid_folder: folder with a file for each process that has read a row, named by its id.
    """

    unreadable: tuple[int, ...] = ()
    deadly: int | None = None
    stuck: int | None = None
    starving: int | None = None
    pid_folder: Path | None = None

    def read(self, row: int) -> bytes | np.ndarray:
        if self.pid_folder:
            (self.pid_folder / str(os.getpid())).touch()
        if row == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if row == self.stuck:
            time.sleep(600)
        if row == self.starving:
            forbid_allocations()
            raise MemoryError
        return b"" if row in self.unreadable else np.full((6, 8, 3), row, np.uint8)


def forbid_allocations() -> None:
    """Let this process allocate a few megabytes more, and nothing beyond."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (8 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def split_rows(rows: range, batch_size: int) -> list[range]:
    """Return the rows of each batch."""
    return [range(a, min(a + batch_size, rows.stop)) for a in rows[::batch_size]]


def start(images: ShadeSource, batches: list[range], workers: int) -> Iterator[PixelBatch]:
    """Load batches; the result closes like the generator that it is."""
    return load_batches(PixelReader(images, PREPROCESSING), NAMES, batches, workers)


def load_all(images: ShadeSource, batches: list[range], workers: int) -> list[PixelBatch]:
    with closing(start(images, batches, workers)) as loaded:
        return list(loaded)


@pytest.mark.parametrize(("workers", "is_shared"), [(0, False), (2, True), (2, False)])
def test_batches_and_rows_are_in_order(workers, is_shared, monkeypatch):
    """Whether pixels come from this process, through shared memory or through a pipe."""
    if not is_shared:
        monkeypatch.setattr(SharedPixels, "create", lambda shape: None)
    images = ShadeSource(unreadable=(21, 99))
    batches = load_all(images, split_rows(range(20, 100), CHUNK_SIZE * 2 + 3), workers)
    assert [(batch.first_row, len(batch.pixels)) for batch in batches] == [
        (20, 35),
        (55, 35),
        (90, 10),
    ]
    shades = np.concatenate([batch.pixels[:, 0, 0, 0] for batch in batches])
    expected = [0 if row in images.unreadable else row for row in range(20, 100)]
    np.testing.assert_array_equal(shades, expected)
    assert [list(batch.errors) for batch in batches] == [[21], [], [99]]
    assert batches[0].errors[21].startswith("21.png: the file is empty; ")


def test_no_batches_are_allowed():
    assert load_all(ShadeSource(), [], 0) == []


def test_a_worker_that_is_killed_is_one_error():
    with pytest.raises(ExtractError) as caught:
        load_all(ShadeSource(deadly=50), split_rows(range(100), 16), 1)
    message = str(caught.value)
    assert message.startswith("a worker process that decodes images has died (")
    assert "run the same command again to resume, with fewer --workers" in message


def test_shared_memory_is_used_again_without_mixing_rows(monkeypatch):
    """More chunks than slots, and one worker that is faster than the other."""
    monkeypatch.setattr(batches_module, "CHUNK_SIZE", 1)
    batches = load_all(ShadeSource(), split_rows(range(100), 3), 2)
    shades = np.concatenate([batch.pixels[:, 0, 0, 0] for batch in batches])
    np.testing.assert_array_equal(shades, range(100))


def test_workers_that_deliver_nothing_are_one_error(monkeypatch):
    monkeypatch.setattr(batches_module, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(batches_module, "STALL_SECONDS", 2)
    with pytest.raises(ExtractError) as caught:
        load_all(ShadeSource(stuck=70), split_rows(range(100), 16), 2)
    assert str(caught.value) == (
        "no image has been decoded for 0 minutes, although the worker processes live; the next one "
        "is 64.png: check that its folder answers, and that no worker process is stopped; the rows "
        "written so far are kept: run the same command again to resume"
    )


def test_a_worker_out_of_memory_is_one_error():
    with pytest.raises(ExtractError) as caught:
        load_all(ShadeSource(starving=50), split_rows(range(100), 16), 1)
    assert str(caught.value) == (
        "out of memory: 50.png cannot be decoded; the rows written so far are kept: run the same "
        "command again to resume, with fewer --workers, or with --workers 0 to decode in one "
        "process, or leave out large images with a smaller --max-pixels and --on-error skip"
    )


SMALL_SHM = """
import torch
from clip_cfr.extract.errors import ExtractError
from tests.extract.images.test_batches import ShadeSource, load_batches, NAMES, PixelReader
from clip_cfr.extract.images.preprocessing import Preprocessing

if __name__ == "__main__":
    preprocessing = Preprocessing(336, 336, 3, (0.5,) * 3, (0.5,) * 3)
    reader = PixelReader(ShadeSource(), preprocessing)
    try:
        for batch in load_batches(reader, NAMES, [range(0, 64), range(64, 100)], 2):
            print(batch.first_row, int(batch.pixels[-1, 0, 0, 0]))
    except ExtractError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (1000, "0 63\n64 99\n"),
        (
            1,
            "the worker processes cannot be started ([Errno 28] No space left on device); run the "
            "command with fewer --workers, or with --workers 0 to decode in one process\n",
        ),
    ],
)
def test_a_small_dev_shm_does_not_hang(pages, expected, tmp_path):
    """Pixels take 34 MB; only semaphores are in /dev/shm."""
    mount = f"mount -t tmpfs -o nr_blocks={pages} tmpfs /dev/shm"
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "-m", "sh", "-c", mount]).returncode
    ):
        pytest.skip("only root can mount a small /dev/shm here")
    script = tmp_path / "load.py"
    script.write_text(SMALL_SHM)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{mount} && exec {sys.executable} {script}"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.stderr) == (expected, "")


def test_closing_the_batches_ends_the_workers(tmp_path):
    images = ShadeSource(pid_folder=tmp_path)
    with closing(start(images, split_rows(range(100), 16), 2)) as loaded:
        next(loaded)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert os.getpid() not in pids
    assert [pid for pid in pids if not has_ended(pid)] == []


def load_one_and_sleep(folder: Path) -> None:
    """Load one batch and keep the workers alive."""
    images = ShadeSource(pid_folder=folder)
    with closing(start(images, split_rows(range(100), 16), 2)) as loaded:
        next(loaded)
        time.sleep(60)


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    parent = FORKS.Process(target=load_one_and_sleep, args=(tmp_path,))
    parent.start()
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert len(pids) == 2
    assert [pid for pid in pids if not has_ended(pid)] == []
