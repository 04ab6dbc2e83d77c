"""Run extractions in new processes, which tests kill."""

import contextlib
import multiprocessing
import os
import sys
import time
from pathlib import Path

# A server process imports torch once, which takes seconds; extractions are forked from it.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "clip_cfr.cache.write.resumable",
        "clip_cfr.extract.encoders.transformers_clip.encoder",
        "clip_cfr.extract.images.batches",
    ]
)


def run_cli(args: list[str], log: Path) -> None:
    """Run a command of the command line, with its output in a file."""
    from clip_cfr.cli import main

    with log.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    main(args)


class ExtractionProcess:
    """A running extraction.

    Args:
        args: the command line, without the program's name.
        out: the cache that the command writes.
    """

    def __init__(self, args: list[str], out: Path):
        self.log = out.with_suffix(".log")
        self.journal = out.with_name(f"{out.name}.journal")
        self.process = FORKS.Process(target=run_cli, args=(args, self.log))
        self.process.start()

    def num_batches(self) -> int:
        """Return the number of batches in the journal, whose first line is the job."""
        return self.journal.read_bytes().count(b"\n") - 1 if self.journal.exists() else 0

    def wait_for(self, num_batches: int) -> None:
        """Wait until the journal has a number of batches."""
        while self.num_batches() < num_batches:
            assert self.process.is_alive(), self.log.read_text()
            time.sleep(0.001)

    def end(self, signal_number: int) -> int:
        """Send a signal, and return the exit code, which is negative if the signal ended it."""
        os.kill(self.process.pid, signal_number)
        self.process.join(timeout=60)
        return self.process.exitcode

    def descendants(self) -> list[int]:
        """Return the ids of the processes that this one has started, at any depth."""
        return descendants(self.process.pid)


def descendants(pid: int) -> list[int]:
    """Return the ids of the processes that a process has started, at any depth."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # The process has ended meanwhile.
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found, pending = [], [pid]
    while pending:
        parent = pending.pop()
        children = [child for child, its_parent in parents.items() if its_parent == parent]
        found += children
        pending += children
    return found


def has_ended(pid: int, seconds: float = 10) -> bool:
    """Wait for a process to end, and return whether it did within a number of seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
