import os

import numpy as np
import torch

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
