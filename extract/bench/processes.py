"""Commands in processes of their own: what they print, and the memory that they take."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from clip_cfr.extract.errors import ExtractError

PROC = Path("/proc")
NO_PROC = "peak memory is read from /proc, which this system has not"
SECONDS_BETWEEN_LOOKS = 0.02
KILO, MEGA = 1024, 1e6


@dataclass(frozen=True)
class Ran:
    """What a command printed as JSON, its seconds, and its peak memory.

    Attributes:
        memory_mb: of the process itself.
        all_memory_mb: the sum of the peaks of the process and of all that it started, pages that
            they share counted for each.
    """

    printed: dict[str, Any]
    seconds: float
    memory_mb: float
    all_memory_mb: float


def run(words: Sequence[str | Path]) -> Ran:
    """A command, run to its end.

    Raises:
        ExtractError: it failed; with the last line that it said.
    """
    command, peaks, began = list(map(str, words)), {}, perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A session of its own is how its processes are told from others.
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        while process.poll() is None:
            peaks |= peaks_of_session(process.pid)
            sleep(SECONDS_BETWEEN_LOOKS)
        took = perf_counter() - began
        said, errors = process.communicate()
    if process.returncode:
        last = (errors.strip().splitlines() or ["without a word"])[-1]
        raise ExtractError(f"{' '.join(command)}: exit code {process.returncode}: {last}")
    own, everyone = peaks.get(process.pid, 0) / MEGA, sum(peaks.values()) / MEGA
    return Ran(json.loads(said), took, own, everyone)


def run_script(script: Path, *options: str | Path) -> dict[str, Any]:
    """What a Python script prints as JSON."""
    return run([sys.executable, script, *options]).printed


def peaks_of_session(leader: int) -> dict[int, int]:
    """The peak memory, in bytes, of each process of a session by its number; none without /proc."""
    found = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                found |= {int(folder.name): peak((folder / "status").read_text())}
        except (OSError, LookupError):  # It has ended meanwhile.
            continue
    return found


def peak(status: str) -> int:
    """The VmHWM of a process in bytes."""
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) * KILO
