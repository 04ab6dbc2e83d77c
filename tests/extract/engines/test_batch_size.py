"""Choice of the batch size."""

from types import SimpleNamespace

import torch

from clip_cfr.extract.engines import batch_size
from clip_cfr.extract.engines.batch_size import (
    CPU_BATCH_SIZE,
    MAX_BATCH_SIZE,
    PROBE_SIZE,
    choose_batch_size,
    largest_batch_size,
)


def test_the_batch_size_is_the_largest_power_of_two_that_fits():
    sizes = [largest_batch_size(1000, bytes_per_image) for bytes_per_image in (1, 10, 100, 1001)]
    assert sizes == [MAX_BATCH_SIZE, 64, 8, 1]


def test_a_cpu_has_a_fixed_batch_size():
    assert choose_batch_size(SimpleNamespace(device=torch.device("cpu"))) == CPU_BATCH_SIZE


def test_a_gpu_is_filled_by_the_memory_per_image(monkeypatch):
    encoder = SimpleNamespace(device=torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100_000, 200_000))
    monkeypatch.setattr(batch_size, "measure_memory", lambda encoder, size: 5000 + 400 * size)
    assert choose_batch_size(encoder) == 128


def test_a_gpu_without_memory_for_a_probe_starts_with_the_size_of_the_probe(monkeypatch):
    def raise_out_of_memory(encoder, size):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(batch_size, "measure_memory", raise_out_of_memory)
    assert choose_batch_size(SimpleNamespace(device=torch.device("cuda"))) == PROBE_SIZE


def test_the_memory_of_a_batch_is_its_peak_above_what_was_allocated(monkeypatch):
    memory = {"allocated": 700}
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: memory["allocated"])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: memory["peak"])

    def encode(pixels):
        memory["peak"] = 700 + 10 * len(pixels)

    encoder = SimpleNamespace(
        device=torch.device("cuda"), preprocessing=SimpleNamespace(side=4), encode=encode
    )
    assert batch_size.measure_memory(encoder, 8) == 80
