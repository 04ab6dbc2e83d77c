"""Decodes, scales and cuts images in worker processes, ahead of the encoder."""

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from multiprocessing.connection import wait
from typing import Any

import torch
from jaxtyping import UInt8
from torch.utils.data import DataLoader, Dataset

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.preprocessing import View
from clip_cfr.extract.images.read import read_pixels
from clip_cfr.extract.manifest.image_source import ImageSource
from clip_cfr.extract.manifest.manifest import Manifest

# What a worker does at a time. Small, because portions lie in shared memory until they are taken,
# and because all workers then share the first batch.
PORTION = 16
BATCHES_AHEAD = 2
# Until the first worker gives something, most of it the import of torch.
START_SECONDS = 4.0
SAMPLED = 4
DIED = (
    "a worker process that decodes images has died ({error}): the system ends one when memory or "
    "shared memory (/dev/shm) runs out; what is saved is kept: run the same command again, with "
    "fewer --workers, or with --workers 0 to decode in one process"
)


@dataclass(frozen=True)
class Loaded:
    """A batch of pixels, black in the rows that could not be read.

    Attributes:
        start: the number of its first row in the manifest.
        errors: row number to what is wrong with its image.
    """

    start: int
    pixels: UInt8[torch.Tensor, "batch side side 3"]
    errors: dict[int, str]


@dataclass(frozen=True)
class Portions(Dataset):
    """Gives the pixels of some rows, asked for by number and name, in any process.

    Each worker has a copy; names come with the rows, so as not to be copied as well.
    """

    images: ImageSource
    view: View

    def __getitem__(
        self, rows: Sequence[tuple[int, str]]
    ) -> tuple[UInt8[torch.Tensor, "n side side 3"], dict[int, str]]:
        pixels, errors = read_pixels(self.images, self.view, rows)
        return torch.from_numpy(pixels), errors


def batches(
    manifest: Manifest,
    view: View,
    rows: range,
    batch_size: int,
    workers: int,
    pinned: bool = False,
) -> Iterator[Loaded]:
    """The pixels of rows in their order, batch by batch; close it to stop the workers early.

    With 0 workers images are decoded in this process. `pinned` memory is what a GPU copies from
    while it computes.

    Raises:
        ExtractError: a worker has died.
    """
    spans = [range(a, min(a + batch_size, rows.stop)) for a in rows[::batch_size]]
    loaded = portions(manifest, view, spans, batch_size, workers)
    shape = (view.side, view.side, 3)
    try:
        for span in spans:
            pixels = torch.empty((len(span), *shape), dtype=torch.uint8, pin_memory=pinned)
            errors = {}
            for first in range(0, len(span), PORTION):
                portion, found = taken(loaded)
                pixels[first : first + len(portion)] = portion
                errors |= found
            yield Loaded(span.start, pixels, errors)
    finally:
        del loaded  # Which ends the workers, though a traceback may still hold this frame.


def portions(
    manifest: Manifest, view: View, spans: Sequence[range], batch_size: int, workers: int
) -> Iterator:
    """What `Portions` gives for the rows of spans, portion after portion."""
    names = manifest.rows.ids
    asked = (
        [(row, names[row]) for row in span[first : first + PORTION]]
        for span in spans
        for first in range(0, len(span), PORTION)
    )
    several = {}
    if workers:
        ahead = ceil(BATCHES_AHEAD * ceil(batch_size / PORTION) / workers)
        several = {
            "multiprocessing_context": start_context(),
            "prefetch_factor": max(2, ahead),
            "worker_init_fn": begin_worker,
        }
    with warnings.catch_warnings():
        # More workers than cores are what the user asked for.
        warnings.filterwarnings("ignore", "This DataLoader will create")
        loader = DataLoader(
            Portions(manifest.images, view),
            sampler=asked,
            batch_size=None,
            num_workers=workers,
            collate_fn=as_it_is,
            **several,
        )
        return iter(loader)


def taken(loaded: Iterator) -> tuple[torch.Tensor, dict[int, str]]:
    """The next portion."""
    try:
        return next(loaded)
    # A worker takes the memory that it shares along when it dies: then it is the connection that
    # fails. What the images raised says that it was caught in a worker.
    except (RuntimeError, OSError, EOFError) as error:
        first_line = (str(error).splitlines() or [""])[0]
        if first_line.startswith("Caught") or not found_dead(error):
            raise
        first_line = first_line or type(error).__name__
        raise ExtractError(DIED.format(error=first_line)) from error


def found_dead(error: Exception) -> bool:
    """Whether this is how torch or the connection to a worker says that it is no more."""
    broken = (ConnectionError, EOFError, FileNotFoundError)
    return isinstance(error, broken) or str(error).startswith("DataLoader worker (pid")


def as_it_is(portion: tuple) -> tuple:
    """The portion; torch would go through it for arrays to make tensors of."""
    return portion


def start_context() -> multiprocessing.context.BaseContext:
    """How workers start: from a server that has imported torch, where the system has forks.

    A fork of this process itself could take over a lock that one of its threads holds: torch's
    have started by now, and the progress bar's.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def begin_worker(number: int) -> None:
    """Leaves Ctrl-C to the parent, and ends this worker with it however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = quiet_when_left
    parent = multiprocessing.parent_process()

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def quiet_when_left(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Passes over the error of a worker that a parent leaves in the middle of a portion."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


def suitable_workers(device: torch.device, seconds: float) -> int:
    """The number of workers for a device, and for images that one process decodes in so long.

    None where that is less than the start of a worker. A GPU waits for
    images, so every core decodes. On a CPU the encoder takes all cores too; where ViT-B/32 takes
    40 ms of a core for an image in bfloat16, decoding takes 0.5 ms (224 x 224) to 16 ms (1,024 x
    768): a core in four keeps ahead, and idles where images are small. In float32 on two cores, one
    worker gave 0.91 of the encoder's own rate on the latter, none 0.72, two 0.69.
    """
    if seconds < START_SECONDS:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores if device.type == "cuda" else max(1, cores // 4)


def seconds_to_decode(manifest: Manifest, view: View, rows: range) -> float:
    """About how long this process would take to decode rows, by a few of them."""
    sample = rows[:: max(1, len(rows) // SAMPLED)][:SAMPLED]
    asked = [(row, manifest.rows.ids[row]) for row in sample]
    source = Portions(manifest.images, view)
    source[asked[:1]]  # Pillow loads its formats at the first.
    began = time.perf_counter()
    source[asked]
    return (time.perf_counter() - began) / max(1, len(asked)) * len(rows)
