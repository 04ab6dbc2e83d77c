"""Progress of a calibration on standard error: a bar on a terminal, lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import click


@runtime_checkable
class ProgressReporter(Protocol):
    """Receives the progress of a calibration."""

    def start_fit(self, method: str, seed: int) -> None:
        """Report that a method is about to be fitted with a seed."""

    def message(self, line: str) -> None:
        """Report something that the user should know."""

    def finish(self) -> None:
        """Report that every method has been fitted."""


class SilentReporter:
    """Reports nothing."""

    def start_fit(self, method: str, seed: int) -> None:
        pass

    def message(self, line: str) -> None:
        pass

    def finish(self) -> None:
        pass


class LineReporter(SilentReporter):
    """Reports one line for each fit, for logs."""

    def start_fit(self, method: str, seed: int) -> None:
        self.message(f"seed {seed}: {method}")

    def message(self, line: str) -> None:
        click.echo(line, err=True)


class BarReporter(SilentReporter):
    """Shows a bar with the time that is left."""

    def __init__(self, bars, num_fits: int):
        self.bars = bars
        self.task = bars.add_task("starting", total=num_fits)
        self.started = False

    def start_fit(self, method: str, seed: int) -> None:
        self.bars.update(self.task, description=f"seed {seed}: {method}", advance=self.started)
        self.started = True

    def message(self, line: str) -> None:
        self.bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def finish(self) -> None:
        self.bars.update(self.task, description="evaluating", advance=1)


@contextmanager
def show_progress(num_fits: int) -> Iterator[ProgressReporter]:
    """Yield a reporter: a bar on a terminal, lines elsewhere.

    Args:
        num_fits: number of methods times number of seeds.
    """
    if not sys.stderr.isatty():
        yield LineReporter()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield BarReporter(bars, num_fits)
