import os
import signal
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images import batches as loading
from clip_cfr.extract.images.batches import (
    PORTION,
    START_SECONDS,
    batches,
    seconds_to_decode,
    suitable_workers,
)
from clip_cfr.extract.images.preprocessing import View
from clip_cfr.extract.manifest.manifest import Manifest, make_rows
from tests.extraction_process import FORKS, has_ended

VIEW = View(side=4, shorter_side=4, resample=3, mean=(0.5,) * 3, std=(0.5,) * 3)
NUM_ROWS = 100


@dataclass(frozen=True)
class Shades:
    """Arrays, each of one shade, its row number; some rows are no image, one kills its reader."""

    unreadable: tuple[int, ...] = ()
    deadly: int = -1
    note_pids_in: Path | None = None

    def read(self, row: int) -> bytes | np.ndarray:
        if self.note_pids_in:
            (self.note_pids_in / str(os.getpid())).touch()
        if row == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return b"" if row in self.unreadable else np.full((6, 8, 3), row, np.uint8)


def manifest(images: Shades, num_rows: int = NUM_ROWS) -> Manifest:
    zeros = [0] * num_rows
    rows = make_rows([f"{row}.png" for row in range(num_rows)], zeros, zeros, zeros)
    return Manifest("shades", rows, images, ("a",), (), (("a",),), ())


def shades_of(images: Shades, rows: range, batch_size: int, workers: int) -> list:
    """Start, shades and errors of each batch."""
    with closing(batches(manifest(images), VIEW, rows, batch_size, workers)) as loaded:
        return [(b.start, b.pixels[:, 0, 0, 0].tolist(), b.errors) for b in loaded]


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_come_in_order_and_each_keeps_its_place(workers):
    found = shades_of(Shades(unreadable=(21, 99)), range(20, 100), PORTION * 2 + 3, workers)
    assert [(start, len(shades)) for start, shades, _ in found] == [(20, 35), (55, 35), (90, 10)]
    shades = [shade for _, batch, _ in found for shade in batch]
    assert shades == [0 if row in (21, 99) else row for row in range(20, 100)]
    errors = [list(errors) for *_, errors in found]
    assert errors == [[21], [], [99]]
    assert found[0][2][21].startswith("21.png: the file is empty; ")


def test_no_rows_are_no_batches():
    assert shades_of(Shades(), range(5, 5), 3, 0) == []


def test_a_worker_that_is_killed_is_one_clear_error():
    with pytest.raises(ExtractError) as caught:
        shades_of(Shades(deadly=50), range(100), 16, 1)
    message = str(caught.value)
    assert message.startswith("a worker process that decodes images has died (")
    assert "run the same command again, with fewer --workers" in message


def test_workers_end_when_the_batches_are_closed(tmp_path):
    images = Shades(note_pids_in=tmp_path)
    with closing(batches(manifest(images), VIEW, range(100), 16, 2)) as loaded:
        next(loaded)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert os.getpid() not in pids
    assert all(map(has_ended, pids))


def load_slowly(folder: Path) -> None:
    """Takes one batch, and then no more."""
    with closing(batches(manifest(Shades(note_pids_in=folder)), VIEW, range(100), 16, 2)) as found:
        next(found)
        time.sleep(60)


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    parent = FORKS.Process(target=load_slowly, args=(tmp_path,))
    parent.start()
    until = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert len(pids) == 2
    assert all(map(has_ended, pids))


def test_the_number_of_workers_follows_the_device_and_the_work():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    cores = len(os.sched_getaffinity(0))
    little, much = START_SECONDS - 1, START_SECONDS + 1
    assert suitable_workers(cpu, little) == suitable_workers(cuda, little) == 0
    assert suitable_workers(cuda, much) == cores
    assert suitable_workers(cpu, much) == max(1, cores // 4)


def test_the_time_to_decode_goes_with_the_rows(monkeypatch):
    """With a clock that ticks a second at each look, whatever the images."""
    monkeypatch.setattr(loading.time, "perf_counter", iter(range(99)).__next__)
    images = manifest(Shades(unreadable=(0,)))
    assert seconds_to_decode(images, VIEW, range(100)) == 25
    assert seconds_to_decode(images, VIEW, range(98, 100)) == 1
    assert seconds_to_decode(images, VIEW, range(100, 100)) == 0
