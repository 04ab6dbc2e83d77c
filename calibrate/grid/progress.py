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
    """Writes a line on standard error for each point and reference that finishes.

    If points were finished before, the first line has their number.

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
        """Number of points of all methods that are finished and reported, without references."""
        return sum(len(self.finished[id(search)]) for search in self.searches.methods)

    def update(self, waiting: bool = False) -> None:
        """Write a line for each point that finished since the last call, in any process.

        Args:
            waiting: whether this process waits for points that other processes run; then
                `report_waiting` is called.
        """
        for search in self.searches.all:
            trials = finished_trials(search)
            for point in sorted(trials.keys() - self.finished[id(search)]):
                self.finished[id(search)].add(point)
                self.report_point(search, point, trials[point])
        if waiting:
            self.report_waiting()

    def report_point(self, search: Search, point: int, trial: FrozenTrial) -> None:
        """Write the line of a point or a reference.

        For example, `3 of 12: lr 0.001: val inferred-groups 71.2 (5 min left)` or
        `reference ERM: val inferred-groups 60.4`.
        """
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
        """Write that other processes run the last points, once and only before all are finished."""
        if not self.waiting_reported and self.num_finished < self.num_points:
            self.waiting_reported = True
            self.write(
                "waiting for the last points, which other processes run; those of a process that "
                f"died on another machine are run here after {SECONDS_OF_SILENCE:.0f} s"
            )

    def format_time_left(self) -> str:
        """Return the time left at the rate so far, as ` (5 min left)`; empty after the last point.

        At least one point must have finished since the start.
        """
        left = self.num_points - self.num_finished
        rate = (time.monotonic() - self.start) / (self.num_finished - self.num_before)
        return f" ({format_duration(left * rate)} left)" if left > 0 else ""

    def write(self, line: str) -> None:
        """Write a line to standard error."""
        echo(line, err=True)


class BarReporter(GridReporter):
    """Reporter that writes the lines above a progress bar of rich, for a terminal."""

    def __init__(self, searches: GridSearches, bars: Progress):
        self.bars = bars
        self.task = bars.add_task("", total=None)
        super().__init__(searches)
        bars.update(self.task, total=self.num_points, completed=self.num_finished)

    def update(self, waiting: bool = False) -> None:
        """Report the points that finished since the last call, and move the bar."""
        super().update(waiting)
        self.bars.update(self.task, completed=self.num_finished)

    def format_time_left(self) -> str:
        """Return an empty text."""
        return ""  # The bar shows it.

    def write(self, line: str) -> None:
        """Write a line above the bar."""
        self.bars.console.print(
            escape_controls(line), markup=False, highlight=False, soft_wrap=True
        )


@contextmanager
def report_progress(searches: GridSearches) -> Iterator[GridReporter]:
    """Yield a reporter of a grid: with a bar if standard error is a terminal, else plain lines."""
    if not sys.stderr.isatty():
        yield GridReporter(searches)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("points"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, speed_estimate_period=SPEED_PERIOD_SECONDS) as bars:
        yield BarReporter(searches, bars)


def describe_outcome(result: PointResult, criterion: str) -> str:
    """Return `val inferred-groups 71.2` (per cent) for a complete point, else `STATE: REASON`.

    Args:
        result: the point.
        criterion: the validation criterion to show.
    """
    if result.state == "complete":
        return f"val {criterion} {100 * result.val[metric_of(criterion)]:.1f}"
    return f"{result.state}: {result.reason}"


def format_duration(seconds: float) -> str:
    """Return a time as `45 s`, from 90 s on as `12 min`, from 90 min on as `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
