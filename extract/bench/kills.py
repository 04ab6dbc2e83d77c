"""What a kill costs: rows that were given to the encoder and must be given to it again."""

import multiprocessing
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import numpy as np

from clip_cfr.extract.bench.random_clip import TINY_CLIP
from clip_cfr.extract.bench.throughput import Quiet, load_pictures
from clip_cfr.extract.encoders.base import Encoder, Features, Pixels
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.options import ExtractOptions
from clip_cfr.extract.run import extract

# Each row is committed with its batch.
CHUNK = 32
RESUMING = "resuming at row "
SECONDS_TO_KILL = 0.05


@dataclass(frozen=True)
class Counted:
    """An encoder that notes in a file how many images it is given, before it encodes them."""

    encoder: Encoder
    notes: Path

    def __getattr__(self, name: str):
        return getattr(self.encoder, name)

    def launch(self, pixels: Pixels) -> Callable[[], Features]:
        note(self.notes, len(pixels))
        return self.encoder.launch(pixels)


class Noted(Quiet):
    """A progress that notes the row at which an extraction goes on."""

    def __init__(self, notes: Path):
        self.notes = notes

    def say(self, line: str) -> None:
        if line.startswith(RESUMING):
            note(self.notes, line.removeprefix(RESUMING))


def note(notes: Path, number: int | str) -> None:
    """Adds a line."""
    with notes.open("a") as file:
        file.write(f"{number}\n")


def extract_counted(root: Path, out: Path, notes: Path) -> None:
    """Extracts a folder of pictures through the tiny CLIP; notes row and images given to it."""
    encoder = Counted(load_encoder(EncoderSpec(str(TINY_CLIP), device="cpu")), notes)
    # Workers change nothing that is counted, and a daemon may not have any.
    options = ExtractOptions(batch_size=CHUNK, workers=0, templates="simple")
    extract(load_pictures(root), encoder, out, options, Noted(notes))


def lost_rows(root: Path, folder: Path, kills: int) -> int:
    """The most rows that were given to the encoder before a kill, and once more after it.

    The extraction is killed again and again, each time a random moment after it has gone on for
    some batches.
    """
    out, given, worst = folder / "killed.h5", 0, 0
    for number in range(kills):
        notes = folder / f"notes-{number}"
        kill_in_the_middle(root, out, notes)
        resumed, *batches = numbers(notes) if number else (0, *numbers(notes))
        worst = max(worst, given - resumed)
        given = resumed + sum(batches)
    notes = folder / "notes"
    extract_counted(root, out, notes)
    return max(worst, given - numbers(notes)[0])


def kill_in_the_middle(root: Path, out: Path, notes: Path) -> None:
    """Starts an extraction, and kills it once some batches are done."""
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=extract_counted, args=(root, out, notes), daemon=True)
    process.start()
    while len(numbers(notes)) < 4:
        if not process.is_alive():
            raise ExtractError("the extraction that was to be killed ended before: nothing to see")
        sleep(0.002)
    sleep(random.uniform(0, SECONDS_TO_KILL))
    process.kill()
    process.join()


def numbers(notes: Path) -> list[int]:
    """The numbers that were noted; a torn last line is none."""
    lines = notes.read_text().split("\n")[:-1] if notes.exists() else []
    return np.array(lines, dtype=int).tolist()
