"""Count the rows that are encoded twice because an extraction was killed."""

import multiprocessing
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import numpy as np

from clip_cfr.extract.bench.random_clip import TINY_CLIP
from clip_cfr.extract.bench.throughput import load_images
from clip_cfr.extract.encoders.base import Encoder, Features, Pixels
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.progress import SilentReporter
from clip_cfr.extract.run import extract_manifest

BATCH_SIZE = 32
RESUMING = "resuming at row "
BATCHES_BEFORE_KILL = 4
MAX_SECONDS_TO_KILL = 0.05


@dataclass(frozen=True)
class CountingEncoder:
    """An encoder that writes the number of images of each batch to a log before encoding it.

    Attributes:
        encoder: the encoder that computes; all other attributes are its own.
        log: text file with a number in each line.
    """

    encoder: Encoder
    log: Path

    def __getattr__(self, name: str):
        return getattr(self.encoder, name)

    def launch(self, pixels: Pixels) -> Callable[[], Features]:
        append_number(self.log, len(pixels))
        return self.encoder.launch(pixels)


class ResumeReporter(SilentReporter):
    """Writes the row at which an extraction resumes to a log."""

    def __init__(self, log: Path):
        self.log = log

    def message(self, line: str) -> None:
        if line.startswith(RESUMING):
            append_number(self.log, line.removeprefix(RESUMING))


def append_number(log: Path, number: int | str) -> None:
    """Append a number as a line to a log; create the log if it is missing."""
    with log.open("a") as file:
        file.write(f"{number}\n")


def read_numbers(log: Path) -> list[int]:
    """Return the numbers in a log, without an incomplete last line; empty if there is no log."""
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return np.array(lines, dtype=int).tolist()


def extract_counted(root: Path, out: Path, log: Path) -> None:
    """Encode a folder of images with the tiny CLIP on the CPU, in batches of BATCH_SIZE.

    Args:
        root: folder of images.
        out: the cache file; an unfinished job there is resumed.
        log: receives the row at which the extraction resumes, if it does, and then the number of
            images of each batch.
    """
    encoder = CountingEncoder(load_encoder(EncoderSpec(str(TINY_CLIP), device="cpu")), log)
    # Workers would not change the counts, and a daemon process cannot start any.
    options = ExtractOptions(batch_size=BATCH_SIZE, workers=0, templates="simple", words=False)
    extract_manifest(load_images(root), encoder, out, options, reporter=ResumeReporter(log))


def count_lost_rows(root: Path, folder: Path, kills: int) -> int:
    """Return the largest number of rows that were encoded before a kill and again after it.

    The extraction is killed `kills` times, each time at a random moment after some batches,
    resumed, and finished at last.

    Args:
        root: folder of images.
        folder: folder for the cache and the logs.
        kills: number of kills, at least 1.

    Raises:
        ExtractError: an extraction ends before it is killed.
    """
    out, encoded, worst = folder / "killed.h5", 0, 0
    for kill in range(kills):
        log = folder / f"log-{kill}"
        kill_extraction(root, out, log)
        resumed_at, *batches = read_numbers(log) if kill else (0, *read_numbers(log))
        worst = max(worst, encoded - resumed_at)
        encoded = resumed_at + sum(batches)
    log = folder / "log"
    extract_counted(root, out, log)
    return max(worst, encoded - read_numbers(log)[0])


def kill_extraction(root: Path, out: Path, log: Path) -> None:
    """Start an extraction in a process and kill it after BATCHES_BEFORE_KILL lines of its log.

    A random delay of up to MAX_SECONDS_TO_KILL precedes the kill.

    Raises:
        ExtractError: the extraction ends before.
    """
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=extract_counted, args=(root, out, log), daemon=True)
    process.start()
    while len(read_numbers(log)) < BATCHES_BEFORE_KILL:
        if not process.is_alive():
            raise ExtractError("the extraction to be killed ended by itself: nothing to measure")
        sleep(0.002)
    sleep(random.uniform(0, MAX_SECONDS_TO_KILL))
    process.kill()
    process.join()
