import os
import subprocess
import sys

import numpy as np
import torch

from clip_cfr.extract.engines.local import limit_workers
from clip_cfr.extract.images import workers
from clip_cfr.extract.images.read import PixelReader
from clip_cfr.extract.images.workers import (
    START_SECONDS,
    choose_num_workers,
    estimate_decode_seconds,
)
from tests.extract.images.test_batches import NAMES, PREPROCESSING, ShadeSource


def test_the_number_of_workers_depends_on_device_and_decoding_time():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    cores = len(os.sched_getaffinity(0))
    short, long = START_SECONDS - 1, START_SECONDS + 1
    assert choose_num_workers(cpu, short) == choose_num_workers(cuda, short) == 0
    assert choose_num_workers(cuda, long) == cores
    assert choose_num_workers(cpu, long) == max(1, cores // 4)


def test_the_decoding_time_is_proportional_to_the_rows(monkeypatch):
    """The clock advances by a second per call, so a sample of any size takes a second."""
    monkeypatch.setattr(workers.time, "perf_counter", iter(range(99)).__next__)
    reader = PixelReader(ShadeSource(unreadable=(0,)), PREPROCESSING)
    found = [
        estimate_decode_seconds(reader, NAMES, rows)
        for rows in (range(100), range(98, 100), range(100, 100))
    ]
    np.testing.assert_array_equal(found, [25, 1, 0])


def test_as_many_workers_start_as_files_can_be_opened(monkeypatch):
    for free, expected in ((None, 8), (100, 8), (22, 3), (13, 0), (2, 0)):
        monkeypatch.setattr(workers, "free_descriptors", lambda found=free: found)
        assert workers.count_workers_that_fit(8) == expected


def test_fewer_workers_than_asked_for_are_reported(monkeypatch):
    messages = []
    monkeypatch.setattr(workers, "free_descriptors", lambda: 22)
    assert limit_workers(3, messages.append) == 3
    assert limit_workers(8, messages.append) == 3
    monkeypatch.setattr(workers, "free_descriptors", lambda: 2)
    assert limit_workers(8, messages.append) == 0
    start = "warning: the limit of open files (ulimit -n) is too low for 8 worker processes: "
    assert messages == [f"{start}starting 3", f"{start}decoding in this process"]


def test_sockets_lie_in_a_short_folder(tmp_path):
    """In a process of its own, since multiprocessing chooses the folder once."""
    folder = tmp_path / ("d" * 90)
    folder.mkdir()
    code = (
        "import multiprocessing.util as util, tempfile; "
        "from clip_cfr.extract.images.workers import prepare_sockets; "
        "prepare_sockets(); print(util.get_temp_dir(), tempfile.gettempdir(), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    sockets, temporary = done.stdout.split()
    assert len(sockets) < 30
    assert temporary == str(folder)
