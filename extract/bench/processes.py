"""Run commands in processes of their own and measure their time and peak memory."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from clip_cfr.extract.errors import ExtractError

PROC = Path("/proc")
NO_PROC = "peak memory is read from /proc, which this system does not have"
POLL_SECONDS = 0.02
KILO, MEGA = 1024, 1e6


@dataclass(frozen=True)
class CompletedCommand:
    """A command that has ended without an error.

    Attributes:
        output: what it printed, parsed as JSON.
        seconds: its duration.
        memory_mb: peak memory of its process, in units of 1e6 bytes; 0 without /proc.
        all_memory_mb: sum of the peaks of its process and all descendants; memory shared by several
            processes counts for each.
    """

    output: Any
    seconds: float
    memory_mb: float
    all_memory_mb: float


def run_command(words: Sequence[str | Path]) -> CompletedCommand:
    """Run a command to its end, and measure its time and memory.

    Args:
        words: program and arguments. It prints JSON on its standard output.

    Raises:
        ExtractError: its exit code is not 0; with the last line of its standard error.
    """
    command, peaks, started = list(map(str, words)), {}, perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # The descendants of the process are found by its session.
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        output = None
        while output is None:
            peaks |= session_peaks(process.pid)
            # Reads the pipes while it waits: a process blocks if a pipe is full.
            with suppress(subprocess.TimeoutExpired):
                output, errors = process.communicate(timeout=POLL_SECONDS)
        seconds = perf_counter() - started
    if process.returncode:
        last_line = (errors.strip().splitlines() or ["no message"])[-1]
        raise ExtractError(f"{' '.join(command)}: exit code {process.returncode}: {last_line}")
    own, total = peaks.get(process.pid, 0) / MEGA, sum(peaks.values()) / MEGA
    return CompletedCommand(json.loads(output), seconds, own, total)


def run_script(script: Path, *arguments: str | Path) -> Any:
    """Run a Python script with this interpreter and return its output, parsed as JSON.

    Raises:
        ExtractError: its exit code is not 0.
    """
    return run_command([sys.executable, script, *arguments]).output


def session_peaks(leader: int) -> dict[int, int]:
    """Return the peak memory in bytes of each living process of a session by its id.

    Empty without /proc.

    Args:
        leader: process id of the session's leader, which is the id of the session.
    """
    peaks = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            if session == leader:
                peaks[int(folder.name)] = parse_peak((folder / "status").read_text())
        except (OSError, LookupError):  # The process has ended in the meantime.
            continue
    return peaks


def parse_peak(status: str) -> int:
    """Return VmHWM, in bytes, of the contents of /proc/PID/status."""
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) * KILO
