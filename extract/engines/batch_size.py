"""How many images go through an encoder together: what fits, and what to do when it does not."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from clip_cfr.extract.encoders.base import Encoder, Features
from clip_cfr.extract.errors import ExtractError

CPU_SIZE = 32
LARGEST, SMALLEST_PROBE = 512, 8
# The rest is for the allocator's gaps and for whoever else uses the GPU.
SHARE_OF_MEMORY = 0.6


def fitting_batch_size(encoder: Encoder) -> int:
    """A size that fits the encoder's device, a power of two.

    A CPU gains nothing by more than CPU_SIZE images (ViT-B/32 in float32, two cores: 27, 25 and 23
    images/s in batches of 16, 32 and 64), and loses less to a kill. A GPU takes what
    its free memory holds, by what two small batches take; beyond LARGEST no GPU gains.
    """
    if encoder.device.type != "cuda":
        return CPU_SIZE
    try:
        probes = [memory_taken(encoder, size) for size in (SMALLEST_PROBE, 2 * SMALLEST_PROBE)]
    except torch.OutOfMemoryError:
        return SMALLEST_PROBE  # Which is halved if even that does not fit.
    free, _ = torch.cuda.mem_get_info(encoder.device)
    an_image = max(1, (probes[1] - probes[0]) // SMALLEST_PROBE)
    return size_within(int(SHARE_OF_MEMORY * free), an_image)


def memory_taken(encoder: Encoder, size: int) -> int:
    """Bytes of the GPU's memory at the peak of a batch, beyond what was taken before."""
    pixels = torch.zeros((size, encoder.view.side, encoder.view.side, 3), dtype=torch.uint8)
    before = torch.cuda.memory_allocated(encoder.device)
    torch.cuda.reset_peak_memory_stats(encoder.device)
    encoder.encode(pixels)
    return torch.cuda.max_memory_allocated(encoder.device) - before


def size_within(num_bytes: int, an_image: int) -> int:
    """The largest power of two, from 1 to LARGEST, whose images take no more than these bytes."""
    size = LARGEST
    while size > 1 and size * an_image > num_bytes:
        size //= 2
    return size


@dataclass
class Fitting:
    """Encodes batches in parts that fit the device's memory.

    Attributes:
        size: images in a part; halved each time that memory runs out, which `say` is told.
    """

    encoder: Encoder
    size: int
    say: Callable[[str], None] = field(repr=False)

    def launch(self, pixels: torch.Tensor) -> Callable[[], tuple[Features, int]]:
        """Starts the encoding of a batch; a call gives its features and the size of its parts."""
        parts = None
        while parts is None:
            size = self.size
            parts = self.without_running_out(
                size, lambda size=size: [self.encoder.launch(p) for p in pixels.split(size)]
            )

        def fetch() -> tuple[Features, int]:
            found = self.without_running_out(size, lambda: [part() for part in parts])
            return self.launch(pixels)() if found is None else (np.concatenate(found), size)

        return fetch

    def without_running_out(self, size: int, work: Callable[[], list]) -> list | None:
        """What the work gives; None where memory ran out, and the size is then smaller."""
        try:
            return work()
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise ExtractError(
                    "the memory of the GPU does not hold one image beside the model; free it of "
                    "other programs, or use --dtype float16, a smaller model or --device cpu"
                ) from error
        # Behind the except block, whose error holds on to the tensors.
        if self.encoder.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.size == size:
            self.size = size // 2
            self.say(f"out of GPU memory with batches of {size}: going on with {self.size}")
        return None
