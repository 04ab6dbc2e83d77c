"""Encode batches in micro-batches that fit the memory of a device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from clip_cfr.extract.encoders.base import Encoder, Features
from clip_cfr.extract.errors import ExtractError


@dataclass
class MicrobatchEncoder:
    """Encodes batches, and halves the micro-batch size each time memory runs out.

    Attributes:
        encoder: the encoder.
        size: images per micro-batch; it never grows again.
        message: callback receiving a line each time the size is halved.
    """

    encoder: Encoder
    size: int
    message: Callable[[str], None] = field(repr=False)

    def launch(self, pixels: torch.Tensor) -> "LaunchedBatch":
        """Start encoding a batch in micro-batches.

        Each time memory runs out, it starts again with half the size.

        Raises:
            ExtractError: the memory does not hold a single image.
        """
        while True:
            size = self.size
            try:
                fetches = [self.encoder.launch(part) for part in pixels.split(size)]
                return LaunchedBatch(self, pixels, size, fetches)
            except torch.OutOfMemoryError as error:
                refuse_single_image(size, error)
            # Outside of the except block, whose exception keeps tensors alive.
            self.halve_size(size)

    def halve_size(self, size: int) -> None:
        """Free cached memory and halve the size, unless a batch in flight has halved it already.

        Args:
            size: the micro-batch size that did not fit.
        """
        if self.encoder.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.size == size:
            self.size = size // 2
            self.message(f"out of GPU memory with batches of {size}: continuing with {self.size}")


@dataclass(frozen=True)
class LaunchedBatch:
    """A batch that is being encoded.

    Attributes:
        encoder: the encoder that launched it.
        pixels: kept in order to encode the batch again if memory runs out.
        size: images per micro-batch.
        fetches: functions that wait for the features of each micro-batch.
    """

    encoder: MicrobatchEncoder
    pixels: torch.Tensor
    size: int
    fetches: Sequence[Callable[[], Features]]

    def fetch(self) -> tuple[Features, int]:
        """Wait for the features; return them with the micro-batch size that they were encoded in.

        If memory has run out, the batch is encoded again with half the size.

        Raises:
            ExtractError: the memory does not hold a single image.
        """
        try:
            return np.concatenate([fetch() for fetch in self.fetches]), self.size
        except torch.OutOfMemoryError as error:
            refuse_single_image(self.size, error)
        # Outside of the except block, whose exception keeps tensors alive.
        self.encoder.halve_size(self.size)
        return self.encoder.launch(self.pixels).fetch()


def refuse_single_image(size: int, error: torch.OutOfMemoryError) -> None:
    """Raise ExtractError if memory ran out with micro-batches of `size` 1; otherwise do nothing."""
    if size == 1:
        raise ExtractError(
            "out of GPU memory with a single image beside the model; end other programs on the "
            "GPU, or use --dtype float16, a smaller model or --device cpu"
        ) from error
