"""Choose a batch size that fits the memory of a device."""

import torch

from clip_cfr.extract.encoders.base import Encoder

CPU_BATCH_SIZE = 32
MAX_BATCH_SIZE, PROBE_SIZE = 512, 8
# The rest is left for fragmentation and for other users of the GPU.
USABLE_MEMORY = 0.6


def choose_batch_size(encoder: Encoder) -> int:
    """Return a batch size for the encoder's device: a power of two from 1 to MAX_BATCH_SIZE.

    A CPU gets CPU_BATCH_SIZE. It gains nothing beyond (ViT-B/32 in float32 on two cores: 27, 25 and
    23 images/s in batches of 16, 32 and 64), and a smaller batch loses less work when the process
    is killed. For a GPU, the memory per image is measured with two small batches and divided into
    the free memory; beyond MAX_BATCH_SIZE no GPU gains.
    """
    if encoder.device.type != "cuda":
        return CPU_BATCH_SIZE
    try:
        small, large = (measure_memory(encoder, size) for size in (PROBE_SIZE, 2 * PROBE_SIZE))
    except torch.OutOfMemoryError:
        return PROBE_SIZE  # Halved later if this does not fit either.
    free_bytes, _ = torch.cuda.mem_get_info(encoder.device)
    bytes_per_image = max(1, (large - small) // PROBE_SIZE)
    return largest_batch_size(int(USABLE_MEMORY * free_bytes), bytes_per_image)


def measure_memory(encoder: Encoder, size: int) -> int:
    """Return the peak of GPU memory, in bytes, that encoding `size` images adds.

    Memory that is allocated already does not count.

    Raises:
        torch.OutOfMemoryError: the images do not fit.
    """
    side = encoder.preprocessing.side
    pixels = torch.zeros((size, side, side, 3), dtype=torch.uint8)
    before = torch.cuda.memory_allocated(encoder.device)
    torch.cuda.reset_peak_memory_stats(encoder.device)
    encoder.encode(pixels)
    return torch.cuda.max_memory_allocated(encoder.device) - before


def largest_batch_size(num_bytes: int, bytes_per_image: int) -> int:
    """Return the largest power of two, from 1 to MAX_BATCH_SIZE, that fits in `num_bytes`."""
    size = MAX_BATCH_SIZE
    while size > 1 and size * bytes_per_image > num_bytes:
        size //= 2
    return size
