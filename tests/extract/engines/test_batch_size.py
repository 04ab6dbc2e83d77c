"""Batches that do not fit: with an encoder that runs out of memory when it is told to."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clip_cfr.extract.engines import batch_size
from clip_cfr.extract.engines.batch_size import (
    CPU_SIZE,
    LARGEST,
    Fitting,
    fitting_batch_size,
    size_within,
)
from clip_cfr.extract.errors import ExtractError


class Narrow:
    """Gives each image's first value; holds no more than so many images."""

    device = torch.device("cpu")

    def __init__(self, holds: int, late: bool = False):
        self.holds, self.late, self.sizes = holds, late, []

    def launch(self, pixels):
        self.sizes.append(len(pixels))
        fits = len(pixels) <= self.holds
        if not fits and not self.late:
            raise torch.OutOfMemoryError("CUDA out of memory")

        def fetch():
            if not fits:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return pixels[:, 0, 0, :1].float().numpy()

        return fetch


def pixels(num: int) -> torch.Tensor:
    return torch.arange(num, dtype=torch.uint8)[:, None, None, None].expand(num, 2, 2, 3)


@pytest.mark.parametrize("late", [False, True])
def test_running_out_of_memory_halves_the_parts_and_loses_nothing(late):
    encoder, said = Narrow(holds=3, late=late), []
    fitting = Fitting(encoder, 8, said.append)
    for num in (8, 5):
        features, size = fitting.launch(pixels(num))()
        np.testing.assert_array_equal(features[:, 0], np.arange(num))
        assert size == 2
    assert said == [
        "out of GPU memory with batches of 8: going on with 4",
        "out of GPU memory with batches of 4: going on with 2",
    ]
    assert encoder.sizes[-3:] == [2, 2, 1]


def test_two_batches_on_their_way_halve_once():
    encoder, said = Narrow(holds=4, late=True), []
    fitting = Fitting(encoder, 8, said.append)
    launched = [fitting.launch(pixels(8)) for _ in range(2)]
    assert [fetch()[1] for fetch in launched] == [4, 4]
    assert said == ["out of GPU memory with batches of 8: going on with 4"]


def test_one_image_that_does_not_fit_is_an_error():
    with pytest.raises(ExtractError, match=r"^the memory of the GPU does not hold one image"):
        Fitting(Narrow(holds=0), 4, print).launch(pixels(4))


def test_the_size_is_what_fits(monkeypatch):
    assert [size_within(1000, each) for each in (1, 10, 100, 1001)] == [LARGEST, 64, 8, 1]
    assert fitting_batch_size(Narrow(holds=1)) == CPU_SIZE
    gpu = SimpleNamespace(device=SimpleNamespace(type="cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100_000, 200_000))
    monkeypatch.setattr(batch_size, "memory_taken", lambda encoder, size: 5000 + 400 * size)
    assert fitting_batch_size(gpu) == 128

    def no_memory(encoder, size):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(batch_size, "memory_taken", no_memory)
    assert fitting_batch_size(gpu) == 8


def test_memory_is_what_a_batch_takes_at_its_peak(monkeypatch):
    device = torch.device("cuda")
    taken = {"now": 700}
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda where: taken["now"])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda where: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda where: taken["peak"])

    def encode(pixels):
        taken["peak"] = 700 + 10 * len(pixels)

    encoder = SimpleNamespace(device=device, view=SimpleNamespace(side=4), encode=encode)
    assert batch_size.memory_taken(encoder, 8) == 80
