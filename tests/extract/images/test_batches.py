import os
import signal
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.batches import CHUNK_SIZE, PixelBatch, load_batches
from clip_cfr.extract.images.preprocessing import Preprocessing
from clip_cfr.extract.manifest.manifest import Manifest, make_rows
from tests.extraction_process import FORKS, has_ended

PREPROCESSING = Preprocessing(side=4, shorter_side=4, resample=3, mean=(0.5,) * 3, std=(0.5,) * 3)
NUM_ROWS = 100


@dataclass(frozen=True)
class ShadeSource:
    """Images of a single value, which is their row index.

    Attributes:
        unreadable: rows that are not images.
        deadly: row that kills the process that reads it.
        pid_folder: folder with a file for each process that has read a row, named by its id.
    """

    unreadable: tuple[int, ...] = ()
    deadly: int | None = None
    pid_folder: Path | None = None

    def read(self, row: int) -> bytes | np.ndarray:
        if self.pid_folder:
            (self.pid_folder / str(os.getpid())).touch()
        if row == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return b"" if row in self.unreadable else np.full((6, 8, 3), row, np.uint8)


def make_manifest(images: ShadeSource, num_rows: int = NUM_ROWS) -> Manifest:
    zeros = [0] * num_rows
    rows = make_rows([f"{row}.png" for row in range(num_rows)], zeros, zeros, zeros)
    return Manifest("shades", rows, images, ("a",), (), (("a",),), ())


def split_rows(rows: range, batch_size: int) -> list[range]:
    """Return the rows of each batch."""
    return [range(a, min(a + batch_size, rows.stop)) for a in rows[::batch_size]]


def load_all(images: ShadeSource, batches: list[range], workers: int) -> list[PixelBatch]:
    with closing(load_batches(make_manifest(images), PREPROCESSING, batches, workers)) as loaded:
        return list(loaded)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_and_rows_are_in_order(workers):
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


def test_closing_the_batches_ends_the_workers(tmp_path):
    manifest = make_manifest(ShadeSource(pid_folder=tmp_path))
    batches = split_rows(range(100), 16)
    with closing(load_batches(manifest, PREPROCESSING, batches, 2)) as loaded:
        next(loaded)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert os.getpid() not in pids
    assert [pid for pid in pids if not has_ended(pid)] == []


def load_one_and_sleep(folder: Path) -> None:
    """Load one batch and keep the workers alive."""
    manifest = make_manifest(ShadeSource(pid_folder=folder))
    batches = split_rows(range(100), 16)
    with closing(load_batches(manifest, PREPROCESSING, batches, 2)) as loaded:
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
