"""Load batches of pixels in row order, decoded in worker processes ahead of the encoder."""

import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import torch
from jaxtyping import UInt8
from torch.utils.data import DataLoader, Dataset

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.notes import Notes
from clip_cfr.extract.images.read import NamedRow, PixelReader, ReadReport
from clip_cfr.extract.images.shared_pixels import SharedPixels
from clip_cfr.extract.images.workers import initialize_worker, start_context

# Images per task of a worker. Small, because results stay in shared memory until they are fetched,
# and because all workers then share the first batch.
CHUNK_SIZE = 16
BATCHES_AHEAD = 2
# How often the main process checks that the workers live, and how long it waits while they live but
# deliver nothing: a file system that does not answer, or a process that somebody has stopped.
CHECK_SECONDS, STALL_SECONDS = 5, 900
TIMED_OUT = "DataLoader timed out"
RESUME = "the rows written so far are kept: run the same command again to resume"
FEWER_WORKERS = "with fewer --workers, or with --workers 0 to decode in one process"
WORKER_DIED = (
    "a worker process that decodes images has died ({error}): the system kills one when memory "
    f"runs out; {RESUME}, {FEWER_WORKERS}"
)
STALLED = (
    "no image has been decoded for {minutes:.0f} minutes, although the worker processes live; the "
    "next one is {name}: check that its folder answers, and that no worker process is stopped; "
    f"{RESUME}"
)
CANNOT_START = "the worker processes cannot be started ({error}); run the command " + FEWER_WORKERS
MEMORY_SHORT = (
    "out of memory: {error}; "
    f"{RESUME}, {FEWER_WORKERS}, or leave out large images with a smaller --max-pixels and "
    "--on-error skip"
)


@dataclass(frozen=True)
class PixelBatch:
    """A batch of pixels, black in the rows that could not be read.

    Attributes:
        first_row: index of its first row in the manifest.
        pixels: the pixels of its rows, on the CPU.
        errors: error message of each row that could not be read, by row index.
        notes: observations about the other rows.
    """

    first_row: int
    pixels: UInt8[torch.Tensor, "batch side side 3"]
    errors: dict[int, str]
    notes: Notes = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A chunk of rows to decode, and the slot in shared memory that takes its pixels.

    Attributes:
        rows: index and name of each row, up to CHUNK_SIZE.
        slot: index of the slot.
    """

    rows: Sequence[NamedRow]
    slot: int


@dataclass(frozen=True)
class Chunk:
    """A decoded chunk.

    Attributes:
        task: the rows.
        report: their errors and notes.
        pixels: the pixels; None if they are in shared memory.
        out_of_memory: message that names the image for which memory was short; then there are no
            pixels. None if memory sufficed.
    """

    task: Task
    report: ReadReport
    pixels: UInt8[np.ndarray, "n side side 3"] | None = None
    out_of_memory: str | None = None


@dataclass(frozen=True)
class PixelDataset(Dataset):
    """A map-style torch data set whose keys are tasks and whose items are chunks.

    Each worker process holds a copy.

    Attributes:
        reader: reads rows as pixels.
        slots: memory shared with the main process, (slots, CHUNK_SIZE, side, side, 3); None if the
            system has none: then pixels are sent through a pipe.
    """

    reader: PixelReader
    slots: SharedPixels | None = None

    def __getitem__(self, task: Task) -> Chunk:
        try:
            if self.slots is None:
                pixels, report = self.reader.read(task.rows)
                return Chunk(task, report, pixels)
            slot = self.slots.array[task.slot]
            return Chunk(task, self.reader.read_into(slot[: len(task.rows)], task.rows))
        except MemoryError as error:
            return Chunk(task, ReadReport(), out_of_memory=str(error))

    def pixels_of(self, chunk: Chunk) -> UInt8[np.ndarray, "n side side 3"]:
        """Return the pixels of a chunk, in shared memory valid until its slot is used again."""
        if self.slots is None:
            return chunk.pixels
        return self.slots.array[chunk.task.slot, : len(chunk.task.rows)]


def load_batches(
    reader: PixelReader,
    names: Sequence[str],
    batches: Sequence[range],
    workers: int,
    pin_memory: bool = False,
) -> Iterator[PixelBatch]:
    """Yield the pixels of batches in their order; close the generator to stop the workers early.

    Args:
        reader: reads rows as pixels.
        names: name of each row of the manifest.
        batches: row indices of each batch.
        workers: number of worker processes; 0 decodes in this process.
        pin_memory: return pixels in page-locked memory, for asynchronous copies to a GPU.

    Raises:
        ExtractError: worker processes cannot start, one dies, memory is short, or nothing is
            decoded for STALL_SECONDS.
    """
    side = reader.preprocessing.side
    ahead = chunks_ahead(max(map(len, batches), default=0), workers)
    # One slot more than there are tasks: its chunk is copied while the workers decode the others.
    slots = SharedPixels.create((ahead + 1, CHUNK_SIZE, side, side, 3)) if workers else None
    dataset = PixelDataset(reader, slots)
    chunks = start_loading(dataset, list_tasks(names, batches, ahead + 1), workers, ahead)
    try:
        for rows in batches:
            pixels = torch.empty(
                (len(rows), side, side, 3), dtype=torch.uint8, pin_memory=pin_memory
            )
            report = ReadReport()
            for first in range(0, len(rows), CHUNK_SIZE):
                chunk = next_chunk(chunks, names[rows[first]])
                found = dataset.pixels_of(chunk)
                pixels[first : first + len(found)] = torch.from_numpy(found)
                report += chunk.report
            yield PixelBatch(rows.start, pixels, report.errors, report.notes)
    finally:
        del chunks  # Stops the workers, even while a traceback still refers to this frame.


def chunks_ahead(batch_size: int, workers: int) -> int:
    """Return the number of chunks that all workers together decode ahead: a multiple of `workers`.

    They make up at least BATCHES_AHEAD batches, and two chunks per worker. 0 without workers.
    """
    if not workers:
        return 0
    chunks_per_worker = ceil(BATCHES_AHEAD * ceil(batch_size / CHUNK_SIZE) / workers)
    return max(2, chunks_per_worker) * workers


def list_tasks(names: Sequence[str], batches: Sequence[range], num_slots: int) -> Iterator[Task]:
    """Yield the tasks of all batches in order, each of up to CHUNK_SIZE rows of one batch.

    Slots are taken in turn: each is used again after `num_slots` tasks.
    """
    chunks = (
        rows[first : first + CHUNK_SIZE]
        for rows in batches
        for first in range(0, len(rows), CHUNK_SIZE)
    )
    for index, rows in enumerate(chunks):
        yield Task([(row, names[row]) for row in rows], index % num_slots)


def start_loading(
    dataset: PixelDataset, tasks: Iterator[Task], workers: int, ahead: int
) -> Iterator[Chunk]:
    """Start the workers and return an iterator over the chunks of all tasks, in order.

    Without workers, the iterator decodes in this process.

    Args:
        dataset: decodes a task; after the start its shared memory cannot be pickled any more.
        tasks: the tasks, taken while the iterator advances.
        workers: number of worker processes.
        ahead: number of chunks to decode ahead, a multiple of `workers`.

    Raises:
        ExtractError: the workers cannot be started.
    """
    if not workers:
        return map(dataset.__getitem__, tasks)
    with warnings.catch_warnings():
        # The user may ask for more workers than cores.
        warnings.filterwarnings("ignore", "This DataLoader will create")
        loader = DataLoader(
            dataset,
            sampler=tasks,
            batch_size=None,
            num_workers=workers,
            collate_fn=keep_chunk,
            timeout=CHECK_SECONDS,
            multiprocessing_context=start_context(),
            prefetch_factor=ahead // workers,
            worker_init_fn=initialize_worker,
        )
        try:
            return iter(loader)
        except (OSError, EOFError) as error:
            discard_quietly(error)
            raise ExtractError(CANNOT_START.format(error=describe(error))) from error
        finally:
            if dataset.slots is not None:
                dataset.slots.close_descriptor()


def discard_quietly(error: Exception) -> None:
    """Destroy the loader that an exception left half-made, without the traceback it prints then.

    The local variables of the frames in the exception's traceback are cleared.
    """
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        traceback.clear_frames(error.__traceback__)
    finally:
        sys.unraisablehook = hook


def next_chunk(chunks: Iterator[Chunk], name: str) -> Chunk:
    """Return the next chunk.

    Args:
        chunks: the iterator that `start_loading` returned.
        name: name of the chunk's first image, for the message.

    Raises:
        ExtractError: a worker has died, memory is short, or nothing arrives for STALL_SECONDS.
    """
    deadline = time.monotonic() + STALL_SECONDS
    while (chunk := poll_chunk(chunks)) is None:
        if time.monotonic() > deadline:
            raise ExtractError(STALLED.format(minutes=STALL_SECONDS / 60, name=name))
    if chunk.out_of_memory is not None:
        raise ExtractError(MEMORY_SHORT.format(error=chunk.out_of_memory))
    return chunk


def poll_chunk(chunks: Iterator[Chunk]) -> Chunk | None:
    """Return the next chunk, or None if the workers live and have sent none in CHECK_SECONDS.

    An exception that a worker raised in its task passes unchanged.

    Raises:
        ExtractError: a worker has died.
    """
    try:
        return next(chunks)
    # A worker that dies may break the connection first. Errors raised in a worker are reported as
    # "Caught ... in DataLoader worker process".
    except (RuntimeError, OSError, EOFError) as error:
        if str(error).startswith(TIMED_OUT):
            return None
        if str(error).startswith("Caught") or not is_worker_death(error):
            raise
        raise ExtractError(WORKER_DIED.format(error=describe(error))) from error


def is_worker_death(error: Exception) -> bool:
    """Return whether an exception reports a dead worker, as torch or a broken connection does."""
    broken = (ConnectionError, EOFError, FileNotFoundError)
    return isinstance(error, broken) or str(error).startswith("DataLoader worker (pid")


def without_resume(message: str) -> str:
    """Return the message of an error of `load_batches` for a command that keeps no rows."""
    return message.replace(RESUME, "run the command again")


def describe(error: Exception) -> str:
    """Return the first line of an error's message, or its class if it has none."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def keep_chunk(chunk: Chunk) -> Chunk:
    """Return the chunk unchanged; torch's default would search it for arrays to convert."""
    return chunk
