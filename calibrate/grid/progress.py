"""Shows on standard error how far a grid is: each point as it ends, and the time that is left."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from clip_cfr.calibrate.grid.axes import settings_text
from clip_cfr.calibrate.grid.liveness import SECONDS_OF_SILENCE
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.trials import REASON

# Of points that take minutes, a rate needs some.
SECONDS_OF_RATE = 3600.0


class Progress:
    """Tells of points that come to an end while it looks on.

    Attributes:
        told: the points that were told, or finished before.
    """

    def __init__(self, plan: Plan, finished: Mapping[int, FrozenTrial]):
        self.plan = plan
        self.told = set(finished)
        self.before = len(finished)
        self.waited = False
        self.began = time.monotonic()
        if finished:
            self.say(f"{len(finished)} of {plan.num_points} points are finished already")

    def update(self, finished: Mapping[int, FrozenTrial]) -> None:
        """Tells of the points that were not told yet."""
        for point in sorted(finished.keys() - self.told):
            self.told.add(point)
            self.say(self.line(point, finished[point]))

    def wait(self) -> None:
        """Tells, once, why nothing happens here."""
        if not self.waited and len(self.told) < self.plan.num_points:
            self.waited = True
            self.say(
                "waiting for the last points, which other processes run; those of a process that "
                f"died elsewhere are run here after {SECONDS_OF_SILENCE:.0f} s"
            )

    def line(self, point: int, trial: FrozenTrial) -> str:
        """What is said of a point, and when the last one will be done."""
        place = f"{len(self.told)} of {self.plan.num_points}"
        return f"{place}: {settings_text(trial.params)}: {self.outcome(trial)}{self.time_left()}"

    def outcome(self, trial: FrozenTrial) -> str:
        """What a point came to."""
        if trial.state == TrialState.COMPLETE:
            return f"val {self.plan.criterion} {100 * trial.value:.1f}"
        return (
            f"{'pruned' if trial.state == TrialState.PRUNED else 'failed'}: "
            + (trial.user_attrs[REASON])
        )

    def time_left(self) -> str:
        """The time that is left at the rate so far."""
        done, left = len(self.told) - self.before, self.plan.num_points - len(self.told)
        seconds = left * (time.monotonic() - self.began) / done
        return f" ({duration(seconds)} left)" if left > 0 else ""

    def say(self, line: str) -> None:
        """Something that the user should know."""
        click.echo(line, err=True)


class Bar(Progress):
    """The same above a bar, for a terminal."""

    def __init__(self, plan: Plan, finished: Mapping[int, FrozenTrial], bars: RichProgress):
        self.bars = bars
        self.task = bars.add_task("", total=plan.num_points, completed=len(finished))
        super().__init__(plan, finished)

    def update(self, finished: Mapping[int, FrozenTrial]) -> None:
        super().update(finished)
        self.bars.update(self.task, completed=len(finished))

    def time_left(self) -> str:
        return ""

    def say(self, line: str) -> None:
        self.bars.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_on_stderr(plan: Plan, finished: Mapping[int, FrozenTrial]) -> Iterator[Progress]:
    """A bar on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield Progress(plan, finished)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("points"), TimeRemainingColumn())
    console = Console(stderr=True)
    with RichProgress(*columns, console=console, speed_estimate_period=SECONDS_OF_RATE) as bars:
        yield Bar(plan, finished, bars)


def duration(seconds: float) -> str:
    """A time in its largest unit."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
