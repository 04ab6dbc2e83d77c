"""The engine of this machine: worker processes decode ahead of an encoder in this process."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator

import torch

from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.engines.base import EncodedBatch, EncodingRequest
from clip_cfr.extract.engines.batch_size import choose_batch_size
from clip_cfr.extract.engines.microbatches import LaunchedBatch, MicrobatchEncoder
from clip_cfr.extract.images.batches import PixelBatch, load_batches
from clip_cfr.extract.images.read import PixelReader
from clip_cfr.extract.images.workers import (
    choose_num_workers,
    count_workers_that_fit,
    estimate_decode_seconds,
)


class LocalEngine:
    """Encodes on one GPU or CPU of this machine."""

    def choose_batch_size(self, model: Encoder) -> int:
        """Return a batch size that fits the memory of the encoder's device."""
        return choose_batch_size(model)

    def encode_batches(
        self, model: Encoder, request: EncodingRequest, message: Callable[[str], None]
    ) -> Iterator[EncodedBatch]:
        """Yield the batches of a request in row order; close the generator to stop the workers.

        On a GPU, a batch is fetched only after the next one is launched, so that the GPU never
        waits for this process.

        Raises:
            ExtractError: worker processes fail, or memory runs out.
        """
        on_gpu = model.device.type == "cuda"
        encoder = MicrobatchEncoder(model, request.microbatch_size, message)
        reader = request.reader(model.preprocessing)
        loaded = load_batches(
            reader,
            request.manifest.rows.ids,
            request.batches(),
            workers=limit_workers(decode_workers(model.device, reader, request), message),
            pin_memory=on_gpu,
        )
        in_flight, max_in_flight = deque(), 1 if on_gpu else 0
        with contextlib.closing(loaded):
            for batch in loaded:
                in_flight.append((batch, encoder.launch(batch.pixels)))
                if len(in_flight) > max_in_flight:
                    yield fetch_batch(*in_flight.popleft())
            while in_flight:
                yield fetch_batch(*in_flight.popleft())


def decode_workers(device: torch.device, reader: PixelReader, request: EncodingRequest) -> int:
    """Return the number of worker processes: as requested, else by device and decoding time.

    For the latter, a sample of the images is decoded. 0 means that this process decodes.
    """
    if request.workers is not None:
        return request.workers
    seconds = estimate_decode_seconds(reader, request.manifest.rows.ids, request.rows)
    return choose_num_workers(device, seconds)


def limit_workers(workers: int, message: Callable[[str], None]) -> int:
    """Return how many of `workers` processes the limit of open files allows, at most `workers`.

    It is 0 if the limit allows none: decode in this process then.

    Args:
        workers: number of worker processes wanted.
        message: callback receiving a warning if fewer are allowed.
    """
    fitting = count_workers_that_fit(workers)
    if fitting < workers:
        instead = f"starting {fitting}" if fitting else "decoding in this process"
        message(
            f"warning: the limit of open files (ulimit -n) is too low for {workers} worker "
            f"processes: {instead}"
        )
    return fitting


def fetch_batch(batch: PixelBatch, launched: LaunchedBatch) -> EncodedBatch:
    """Wait for the features of a batch and return them with its errors and notes.

    Raises:
        ExtractError: the memory does not hold a single image.
    """
    features, microbatch_size = launched.fetch()
    return EncodedBatch(batch.first_row, features, microbatch_size, batch.errors, batch.notes)
