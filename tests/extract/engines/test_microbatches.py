"""Micro-batches, with an encoder that runs out of memory on purpose."""

import numpy as np
import pytest
import torch

from clip_cfr.extract.engines.microbatches import MicrobatchEncoder
from clip_cfr.extract.errors import ExtractError


class SmallMemoryEncoder:
    """Returns each image's first value, and runs out of memory beyond `holds` images.

    Attributes:
        holds: number of images that fit.
        late: run out of memory on fetching instead of on launching.
        sizes: number of images of each launch.
    """

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


def make_pixels(num: int) -> torch.Tensor:
    """Return images of which image i has the value i everywhere."""
    return torch.arange(num, dtype=torch.uint8)[:, None, None, None].expand(num, 2, 2, 3)


@pytest.mark.parametrize("late", [False, True])
def test_running_out_of_memory_halves_the_microbatches_and_loses_nothing(late):
    encoder, messages = SmallMemoryEncoder(holds=3, late=late), []
    microbatches = MicrobatchEncoder(encoder, 8, messages.append)
    for num in (8, 5):
        features, size = microbatches.launch(make_pixels(num)).fetch()
        np.testing.assert_array_equal(features[:, 0], np.arange(num))
        assert size == 2
    assert messages == [
        "out of GPU memory with batches of 8: continuing with 4",
        "out of GPU memory with batches of 4: continuing with 2",
    ]
    assert encoder.sizes[-3:] == [2, 2, 1]


def test_two_batches_in_flight_halve_the_size_once():
    encoder, messages = SmallMemoryEncoder(holds=4, late=True), []
    microbatches = MicrobatchEncoder(encoder, 8, messages.append)
    launched = [microbatches.launch(make_pixels(8)) for _ in range(2)]
    assert [batch.fetch()[1] for batch in launched] == [4, 4]
    assert messages == ["out of GPU memory with batches of 8: continuing with 4"]


def test_a_single_image_that_does_not_fit_is_an_error():
    microbatches = MicrobatchEncoder(SmallMemoryEncoder(holds=0), 4, print)
    with pytest.raises(ExtractError, match=r"^out of GPU memory with a single image beside the"):
        microbatches.launch(make_pixels(4))
