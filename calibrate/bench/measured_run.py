"""Run a command that prints JSON, and measure its duration, CPU time and peak memory."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip_cfr.calibrate.core.errors import CalibrationError

MEASURE_COMMAND = str(Path(__file__).with_name("measure_command.py"))


class CommandError(CalibrationError):
    """A command failed; `last_line` is the last line of its standard error."""

    def __init__(self, command: Sequence[str], code: int, last_line: str):
        super().__init__(f"{' '.join(command)}: exit code {code}: {last_line}")
        self.last_line = last_line


@dataclass(frozen=True)
class Run:
    """A command that has ended without an error.

    Attributes:
        output: its output, parsed as JSON.
        seconds: time from start to exit.
        cpu_seconds: CPU time of all its threads.
        rss_mb: peak resident memory, in MB (10^6 bytes).
    """

    output: dict[str, Any]
    seconds: float
    cpu_seconds: float
    rss_mb: float


def run_measured(command: Sequence[str], folder: Path) -> Run:
    """Run a command to its end, and measure it.

    Args:
        command: its words; it prints one JSON object.
        folder: folder for the file of the measurements, `measured.json`.

    Raises:
        CommandError: its exit code is not 0.
    """
    report = folder / "measured.json"
    # -P: do not let modules beside the script shadow the standard library.
    measured_command = [sys.executable, "-P", MEASURE_COMMAND, str(report), *command]
    process = subprocess.run(measured_command, capture_output=True, text=True)
    if process.returncode:
        last_line = (process.stderr.strip().splitlines() or ["no error message"])[-1]
        raise CommandError(command, process.returncode, last_line)
    return Run(json.loads(process.stdout), **json.loads(report.read_text()))
