"""Extractions in processes of their own, to be killed."""

import contextlib
import multiprocessing
import os
import sys
import time
from pathlib import Path

# One server imports torch, which takes seconds; each process is then forked from it in no time.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "clip_cfr.cache.write.resumable",
        "clip_cfr.extract.encoders.transformers_clip.encoder",
        "clip_cfr.extract.images.batches",
    ]
)


def run_cli(args: list[str], log: Path) -> None:
    """Runs a command as the command line would, with all it says in a file."""
    from clip_cfr.cli import main

    with log.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    main(args)


class ExtractionProcess:
    """A process that extracts, and how much it has saved."""

    def __init__(self, args: list[str], out: Path):
        self.log = out.with_suffix(".log")
        self.journal = out.with_name(f"{out.name}.journal")
        self.process = FORKS.Process(target=run_cli, args=(args, self.log))
        self.process.start()

    def num_batches(self) -> int:
        """How many batches the journal has; its first line is the job."""
        return self.journal.read_bytes().count(b"\n") - 1 if self.journal.exists() else 0

    def wait_for(self, num_batches: int) -> None:
        """Waits until so many batches are saved."""
        while self.num_batches() < num_batches:
            assert self.process.is_alive(), self.log.read_text()
            time.sleep(0.001)

    def end(self, how: int) -> int:
        """The exit code, minus the signal's number where the signal ended it."""
        os.kill(self.process.pid, how)
        self.process.join(timeout=60)
        return self.process.exitcode

    def family(self) -> list[int]:
        """The processes that this one has started, and those that they have."""
        return descendants(self.process.pid)


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, at any depth."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # One that has ended meanwhile.
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found, left = [], [pid]
    while left:
        parent = left.pop()
        children = [each for each, its_parent in parents.items() if its_parent == parent]
        found += children
        left += children
    return found


def gone(pid: int, seconds: float = 10) -> bool:
    """Whether a process has ended within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
