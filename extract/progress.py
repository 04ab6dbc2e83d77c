"""How far an extraction is, and two ways to show it on standard error."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

SECONDS_BETWEEN_LINES = 30.0
# A batch of a large model on a CPU takes minutes, and a rate needs some of them.
SECONDS_OF_RATE = 1200.0


class Progress(Protocol):
    """Whoever wants to know how far an extraction is."""

    def start(self, row: int, num_rows: int) -> None:
        """The first row that is to do, and how many rows there are in all."""

    def advance(self, num_rows: int) -> None:
        """So many more rows are saved."""

    def say(self, line: str) -> None:
        """Something that the user should know."""


@contextlib.contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """A bar on a terminal, a plain line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    columns = (BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    console = Console(stderr=True)
    with RichProgress(*columns, console=console, speed_estimate_period=SECONDS_OF_RATE) as bars:
        yield Bar(bars)


class Rate(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        """The rate, or nothing before the first batch is done."""
        return Text("" if task.speed is None else f"{task.speed:,.1f} images/s")


class Bar:
    """Progress as a bar with the rate and the time that is left."""

    def __init__(self, bars: RichProgress):
        self.bars = bars
        self.task = bars.add_task("", total=None)

    def start(self, row: int, num_rows: int) -> None:
        self.bars.update(self.task, completed=row, total=num_rows)
        # Marks the time from which the rate is counted.
        self.bars.advance(self.task, 0)

    def advance(self, num_rows: int) -> None:
        self.bars.advance(self.task, num_rows)

    def say(self, line: str) -> None:
        self.bars.console.print(line, markup=False, highlight=False, soft_wrap=True)


class Lines:
    """Progress as a line every half minute, for logs."""

    def start(self, row: int, num_rows: int) -> None:
        self.first = self.done = row
        self.num_rows = num_rows
        self.began = self.told = time.monotonic()

    def advance(self, num_rows: int) -> None:
        self.done += num_rows
        now = time.monotonic()
        if now - self.told < SECONDS_BETWEEN_LINES:
            return
        self.told = now
        rate = (self.done - self.first) / (now - self.began)
        minutes = (self.num_rows - self.done) / rate / 60
        self.say(
            f"{self.done:,} of {self.num_rows:,} images, {rate:,.1f} images/s, "
            f"{minutes:,.0f} min left"
        )

    def say(self, line: str) -> None:
        click.echo(line, err=True)
