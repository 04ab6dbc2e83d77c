"""Progress of an extraction on standard error: a bar on a terminal, lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeRemainingColumn,
)
from rich.text import Text

from clip_cfr.cache.console import echo, escape_controls

SECONDS_BETWEEN_LINES = 30.0
# A batch of a large model takes minutes on a CPU, and a rate needs several batches.
RATE_WINDOW_SECONDS = 1200.0


class ProgressReporter(Protocol):
    """Callbacks that receive the progress of an extraction."""

    def start(self, first_row: int, num_rows: int) -> None:
        """Start reporting a job.

        Args:
            first_row: number of rows that an earlier run has saved.
            num_rows: number of rows of the whole job.
        """

    def advance(self, num_rows: int) -> None:
        """Report that `num_rows` more rows have been saved."""

    def message(self, line: str) -> None:
        """Show a line to the user; may be called before `start`."""


@contextlib.contextmanager
def show_progress() -> Iterator[ProgressReporter]:
    """Yield a reporter that writes to standard error: a bar on a terminal, otherwise lines.

    The bar is stopped at the end of the block.
    """
    if not sys.stderr.isatty():
        yield LineReporter()
        return
    columns = (BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    progress = Progress(*columns, console=console, speed_estimate_period=RATE_WINDOW_SECONDS)
    try:
        yield BarReporter(progress)
    finally:
        progress.stop()


class RateColumn(ProgressColumn):
    """A column with the rate in images per second."""

    def render(self, task: Task) -> Text:
        """Return the rate as text, such as `24.0 images/s`; empty before the first batch."""
        return Text("" if task.speed is None else f"{task.speed:,.1f} images/s")


class BarReporter:
    """Shows a progress bar with the rate and the remaining time, from `start` on.

    Messages appear above the bar.

    Args:
        progress: the bar, whose creator stops it.
    """

    def __init__(self, progress: Progress):
        self.progress = progress

    def start(self, first_row: int, num_rows: int) -> None:
        self.task = self.progress.add_task("", total=num_rows, completed=first_row)
        self.progress.advance(self.task, 0)  # The rate is measured from here.
        self.progress.start()

    def advance(self, num_rows: int) -> None:
        self.progress.advance(self.task, num_rows)

    def message(self, line: str) -> None:
        self.progress.console.print(
            escape_controls(line), markup=False, highlight=False, soft_wrap=True
        )


class LineReporter:
    """Writes a line with rate and remaining time at most every half minute, for logs.

    For example: `640 of 4,795 images, 21.3 images/s, 3 min left`. The rate is that of this run.
    """

    def start(self, first_row: int, num_rows: int) -> None:
        self.first_row = self.done = first_row
        self.num_rows = num_rows
        self.started = self.last_line = time.monotonic()

    def advance(self, num_rows: int) -> None:
        self.done += num_rows
        now = time.monotonic()
        if now - self.last_line < SECONDS_BETWEEN_LINES:
            return
        self.last_line = now
        rate = (self.done - self.first_row) / (now - self.started)
        minutes = (self.num_rows - self.done) / rate / 60
        self.message(
            f"{self.done:,} of {self.num_rows:,} images, {rate:,.1f} images/s, "
            f"{minutes:,.0f} min left"
        )

    def message(self, line: str) -> None:
        echo(line, err=True)


class SilentReporter:
    """Ignores progress and messages."""

    def start(self, first_row: int, num_rows: int) -> None:
        pass

    def advance(self, num_rows: int) -> None:
        pass

    def message(self, line: str) -> None:
        pass
