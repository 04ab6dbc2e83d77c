"""Worker processes that decode images: how many, how they start, and how they end."""

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from types import TracebackType

import torch

from clip_cfr.cache.files.descriptors import free_descriptors
from clip_cfr.extract.images.read import PixelReader

# From the start of a worker to its first result; most of it is the import of torch.
START_SECONDS = 4.0
SAMPLE_SIZE = 4
CORES_PER_CPU_WORKER = 4
# Open files of this process: those that each worker needs, and those that something else may.
WORKER_DESCRIPTORS, RESERVED_DESCRIPTORS = 4, 10
# Leaves room for `/pymp-XXXXXXXX/listener-XXXXXXXX`.
MAX_SOCKET_FOLDER = 70
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
# Imported by the server that workers are forked from, so that none of them imports torch again.
PRELOADED = "clip_cfr.extract.images.worker_server"


def choose_num_workers(device: torch.device, decode_seconds: float) -> int:
    """Choose the number of worker processes.

    It is 0 if decoding in this process takes less time than the start of a worker. On a GPU one per
    core, since the encoder leaves the CPU idle. On a CPU one per four cores, at least one, since
    the encoder uses all of them: ViT-B/32 takes 40 ms of a core per image in bfloat16, and decoding
    takes 0.5 ms (224 x 224) to 16 ms (1,024 x 768). In float32 on two cores, with images of 1,024 x
    768, one worker reached 0.91 of the encoder's own rate, none 0.72, two 0.69.

    Args:
        device: the encoder's device.
        decode_seconds: seconds to decode all images in one process.
    """
    if decode_seconds < START_SECONDS:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores if device.type == "cuda" else max(1, cores // CORES_PER_CPU_WORKER)


def estimate_decode_seconds(reader: PixelReader, names: Sequence[str], rows: range) -> float:
    """Estimate how many seconds one process takes to decode rows, from a sample of them.

    Up to `SAMPLE_SIZE` images spread over the rows are decoded here, the first one twice.

    Args:
        reader: reads rows as pixels.
        names: name of each row of the manifest.
        rows: row indices.

    Raises:
        MemoryError: memory is short.
    """
    sample = rows[:: max(1, len(rows) // SAMPLE_SIZE)][:SAMPLE_SIZE]
    named = [(row, names[row]) for row in sample]
    reader.read(named[:1])  # Pillow loads its plugins here.
    started = time.perf_counter()
    reader.read(named)
    return (time.perf_counter() - started) / max(1, len(named)) * len(rows)


def start_context() -> BaseContext:
    """Return the multiprocessing context of workers: forkserver if the system has it, else spawn.

    The server of forkserver is started, and ignores Ctrl-C. A fork of this process could inherit a
    lock held by one of its threads: those of torch and of the progress bar are running by now.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    prepare_sockets()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    with blocked_interrupts():
        forkserver.ensure_running()
    return context


@contextmanager
def blocked_interrupts() -> Iterator[None]:
    """Deliver Ctrl-C after the block only; a process started in the block never receives it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def count_workers_that_fit(workers: int) -> int:
    """Return how many of `workers` processes the limit of open files allows; all without one."""
    free = free_descriptors()
    if free is None:
        return workers
    return min(workers, max(0, free - RESERVED_DESCRIPTORS) // WORKER_DESCRIPTORS)


def prepare_sockets() -> None:
    """Make multiprocessing put its sockets into a short folder if that of temporary files is long.

    The path of a socket has 104 bytes at most on some systems. multiprocessing chooses the folder
    once, and keeps it. If no short folder can be written, nothing changes.
    """
    if len(os.fsencode(tempfile.gettempdir())) <= MAX_SOCKET_FOLDER:
        return
    before = tempfile.tempdir
    tempfile.tempdir = next((f for f in SHORT_FOLDERS if os.access(f, os.W_OK)), before)
    try:
        multiprocessing.util.get_temp_dir()
    finally:
        tempfile.tempdir = before


def initialize_worker(worker_id: int) -> None:
    """Leave Ctrl-C to the parent process, and exit when the parent exits for any reason.

    Args:
        worker_id: index of the worker, which torch passes; not used.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = ignore_broken_connection
    threading.Thread(target=exit_with_parent, daemon=True).start()


def exit_with_parent() -> None:
    """Wait for the end of the parent process, then end this one at once with exit code 1."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def ignore_broken_connection(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print an uncaught exception, as a sys.excepthook, unless it says that the parent has ended.

    The connection is closed then, and the semaphores are gone that a new worker looks for: no
    ConnectionError, EOFError or FileNotFoundError is printed.
    """
    if not issubclass(kind, ConnectionError | EOFError | FileNotFoundError):
        sys.__excepthook__(kind, error, traceback)
