"""Progress of a grid on standard error: a line for each finished point, and the time left."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.trial import FrozenTrial
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from clip_cfr.cache.console import echo, escape_controls
from clip_cfr.calibrate.comparison.method_result import metric_of
from clip_cfr.calibrate.grid.liveness import SECONDS_OF_SILENCE
from clip_cfr.calibrate.grid.point_result import PointResult
from clip_cfr.calibrate.grid.study import GridSearches
from clip_cfr.calibrate.grid.table import describe_point
from clip_cfr.calibrate.grid.trials import Search, finished_trials, point_result

# A point may take minutes, so the bar averages its rate over a long time.
SPEED_PERIOD_SECONDS = 3600.0


class GridReporter:
    """Writes a line for each point and reference that finishes.

    Attributes:
        searches: the searches of the grid.
        num_points: number of points of all methods, without references.
        num_finished: number of points that are finished.
        num_before: number of points that were finished at the start.
    """

    def __init__(self, searches: GridSearches):
        self.searches = searches
        self.num_points = sum(search.plan.num_points for search in searches.methods)
        self.finished = {id(each): set(finished_trials(each)) for each in searches.all}
        self.num_before = self.num_finished
        self.waiting_reported = False
        self.start = time.monotonic()
        if self.num_before:
            self.write(f"{self.num_before} of {self.num_points} points are finished already")

    @property
    def num_finished(self) -> int:
        """Number of points that are finished."""
        return sum(len(self.finished[id(search)]) for search in self.searches.methods)

    def update(self, waiting: bool = False) -> None:
        """Report the points that finished since the last call.

        Args:
            waiting: whether this process waits for points that other processes run.
        """
        for search in self.searches.all:
            trials = finished_trials(search)
            for point in sorted(trials.keys() - self.finished[id(search)]):
                self.finished[id(search)].add(point)
                self.report_point(search, point, trials[point])
        if waiting:
            self.report_waiting()

    def report_point(self, search: Search, point: int, trial: FrozenTrial) -> None:
        """Write the line of a point or a reference."""
        plan, result = search.plan, point_result(search.plan, point, trial)
        if plan.is_reference:
            label = f"reference {describe_point(result, show_method=True)}"
            self.write(f"{label}: {describe_outcome(result, plan.criterion)}")
            return
        label = describe_point(result, show_method=len(self.searches.methods) > 1)
        outcome = describe_outcome(result, plan.criterion)
        count = f"{self.num_finished} of {self.num_points}"
        self.write(f"{count}: {label}: {outcome}{self.format_time_left()}")

    def report_waiting(self) -> None:
        """Write, once, that the last points run in other processes."""
        if not self.waiting_reported and self.num_finished < self.num_points:
            self.waiting_reported = True
            self.write(
                "waiting for the last points, which other processes run; those of a process that "
                f"died on another machine are run here after {SECONDS_OF_SILENCE:.0f} s"
            )

    def format_time_left(self) -> str:
        """Return the time left at the rate so far; empty at the last point."""
        left = self.num_points - self.num_finished
        rate = (time.monotonic() - self.start) / (self.num_finished - self.num_before)
        return f" ({format_duration(left * rate)} left)" if left > 0 else ""

    def write(self, line: str) -> None:
        """Write a line to standard error."""
        echo(line, err=True)


class BarReporter(GridReporter):
    """Writes the lines above a progress bar, for a terminal."""

    def __init__(self, searches: GridSearches, bars: Progress):
        self.bars = bars
        self.task = bars.add_task("", total=None)
        super().__init__(searches)
        bars.update(self.task, total=self.num_points, completed=self.num_finished)

    def update(self, waiting: bool = False) -> None:
        super().update(waiting)
        self.bars.update(self.task, completed=self.num_finished)

    def format_time_left(self) -> str:
        return ""  # The bar shows it.

    def write(self, line: str) -> None:
        self.bars.console.print(
            escape_controls(line), markup=False, highlight=False, soft_wrap=True
        )


@contextmanager
def report_progress(searches: GridSearches) -> Iterator[GridReporter]:
    """Open a reporter for the duration of a block: a bar on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield GridReporter(searches)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("points"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, speed_estimate_period=SPEED_PERIOD_SECONDS) as bars:
        yield BarReporter(searches, bars)


def describe_outcome(result: PointResult, criterion: str) -> str:
    """Return the validation accuracy of a point, or why it has none."""
    if result.state == "complete":
        return f"val {criterion} {100 * result.val[metric_of(criterion)]:.1f}"
    return f"{result.state}: {result.reason}"


def format_duration(seconds: float) -> str:
    """Return a time in its largest unit."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
