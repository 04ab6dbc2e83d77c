"""Load batches of pixels in row order, decoded in worker processes ahead of the encoder."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from jaxtyping import UInt8
from torch.utils.data import DataLoader, Dataset

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.preprocessing import Preprocessing
from clip_cfr.extract.images.read import read_pixels
from clip_cfr.extract.images.workers import initialise_worker, start_context
from clip_cfr.extract.manifest.image_source import ImageSource
from clip_cfr.extract.manifest.manifest import Manifest

# Images per task of a worker. Small, because results stay in shared memory until they are fetched,
# and because all workers then share the first batch.
CHUNK_SIZE = 16
BATCHES_AHEAD = 2
WORKER_DIED = (
    "a worker process that decodes images has died ({error}): the system kills one when memory or "
    "shared memory (/dev/shm) runs out; the rows written so far are kept: run the same command "
    "again to resume, with fewer --workers, or with --workers 0 to decode in one process"
)

Chunk = tuple[UInt8[torch.Tensor, "n side side 3"], dict[int, str]]


@dataclass(frozen=True)
class PixelBatch:
    """A batch of pixels, black in the rows that could not be read.

    Attributes:
        first_row: index of its first row in the manifest.
        errors: error message of each row that could not be read, by row index.
    """

    first_row: int
    pixels: UInt8[torch.Tensor, "batch side side 3"]
    errors: dict[int, str]


@dataclass(frozen=True)
class PixelDataset(Dataset):
    """A map-style torch data set whose key is a list of rows (index, name).

    Each worker process holds a copy. Names are part of the key, so that they are not copied.
    """

    images: ImageSource
    preprocessing: Preprocessing

    def __getitem__(self, rows: Sequence[tuple[int, str]]) -> Chunk:
        pixels, errors = read_pixels(self.images, self.preprocessing, rows)
        return torch.from_numpy(pixels), errors


def load_batches(
    manifest: Manifest,
    preprocessing: Preprocessing,
    batches: Sequence[range],
    workers: int,
    pin_memory: bool = False,
) -> Iterator[PixelBatch]:
    """Yield the pixels of batches of rows; close the generator to stop the workers early.

    Args:
        batches: row indices of each batch.
        workers: number of worker processes; 0 decodes in this process.
        pin_memory: return pixels in page-locked memory, for asynchronous copies to a GPU.

    Raises:
        ExtractError: if a worker process has died.
    """
    chunks = load_chunks(manifest, preprocessing, batches, workers)
    shape = (preprocessing.side, preprocessing.side, 3)
    try:
        for rows in batches:
            pixels = torch.empty((len(rows), *shape), dtype=torch.uint8, pin_memory=pin_memory)
            errors = {}
            for first in range(0, len(rows), CHUNK_SIZE):
                chunk, chunk_errors = next_chunk(chunks)
                pixels[first : first + len(chunk)] = chunk
                errors |= chunk_errors
            yield PixelBatch(rows.start, pixels, errors)
    finally:
        del chunks  # Stops the workers, even while a traceback still refers to this frame.


def load_chunks(
    manifest: Manifest, preprocessing: Preprocessing, batches: Sequence[range], workers: int
) -> Iterator[Chunk]:
    """Return an iterator over the chunks of all batches, in order."""
    names = manifest.rows.ids
    keys = (
        [(row, names[row]) for row in rows[first : first + CHUNK_SIZE]]
        for rows in batches
        for first in range(0, len(rows), CHUNK_SIZE)
    )
    batch_size = max(map(len, batches), default=0)
    with warnings.catch_warnings():
        # The user may ask for more workers than cores.
        warnings.filterwarnings("ignore", "This DataLoader will create")
        loader = DataLoader(
            PixelDataset(manifest.images, preprocessing),
            sampler=keys,
            batch_size=None,
            num_workers=workers,
            collate_fn=keep_chunk,
            **(worker_options(batch_size, workers) if workers else {}),
        )
        return iter(loader)


def worker_options(batch_size: int, workers: int) -> dict[str, Any]:
    """Return the DataLoader options that apply to worker processes."""
    chunks_ahead = BATCHES_AHEAD * ceil(batch_size / CHUNK_SIZE)
    return {
        "multiprocessing_context": start_context(),
        "prefetch_factor": max(2, ceil(chunks_ahead / workers)),
        "worker_init_fn": initialise_worker,
    }


def next_chunk(chunks: Iterator[Chunk]) -> Chunk:
    """Return the next chunk; raise ExtractError if a worker has died."""
    try:
        return next(chunks)
    # A worker that dies takes its shared memory along, so the connection may fail first. Errors
    # raised while reading images are reported as "Caught ... in DataLoader worker process".
    except (RuntimeError, OSError, EOFError) as error:
        first_line = (str(error).splitlines() or [""])[0]
        if first_line.startswith("Caught") or not is_worker_death(error):
            raise
        reason = first_line or type(error).__name__
        raise ExtractError(WORKER_DIED.format(error=reason)) from error


def is_worker_death(error: Exception) -> bool:
    """Return whether an exception is how torch or a broken connection reports a dead worker."""
    broken = (ConnectionError, EOFError, FileNotFoundError)
    return isinstance(error, broken) or str(error).startswith("DataLoader worker (pid")


def keep_chunk(chunk: Chunk) -> Chunk:
    """Return the chunk unchanged; torch's default would search it for arrays to convert."""
    return chunk
