"""Progress of a calibration on standard error: a bar on a terminal, lines elsewhere."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from clip_cfr.cache.console import echo, escape_controls
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.stage_spec import SHARED_STAGES
from clip_cfr.calibrate.methods import load_method


@runtime_checkable
class ProgressReporter(Protocol):
    """Receives the progress of a calibration.

    Attributes:
        on_steps: called about 20 times a training stage with its name, such as `cfr`, the
            steps done and all its steps; None if steps are not reported.
    """

    on_steps: Callable[[str, int, int], None] | None

    def start_training(self, stages: Mapping[str, int]) -> None:
        """Report that training begins.

        Args:
            stages: training steps over all seeds by stage name, as `count_steps` returns them.
        """

    def start_fit(self, method: str, seed: int) -> None:
        """Report that a method is about to be fitted with a seed."""

    def message(self, line: str) -> None:
        """Report a line of text for the user, such as a warning."""

    def finish(self) -> None:
        """Report that every method has been fitted."""


class SilentReporter:
    """Progress reporter whose methods do nothing."""

    on_steps: Callable[[str, int, int], None] | None = None

    def start_training(self, stages: Mapping[str, int]) -> None:
        pass

    def start_fit(self, method: str, seed: int) -> None:
        pass

    def message(self, line: str) -> None:
        pass

    def finish(self) -> None:
        pass


class LineReporter(SilentReporter):
    """Progress reporter that prints messages, and `seed 0: cfr` for a fit, on standard error.

    Attributes:
        messages: the printed lines.
    """

    def __init__(self):
        self.messages: list[str] = []

    def start_fit(self, method: str, seed: int) -> None:
        """Print a line such as `seed 0: cfr`."""
        self.message(f"seed {seed}: {method}")

    def message(self, line: str) -> None:
        """Print the line on standard error, with control characters escaped."""
        self.messages.append(line)
        echo(line, err=True)


class BarReporter(SilentReporter):
    """Progress reporter with one bar over the training stages of all methods and seeds.

    A step counts as much as the `cost` of its stage says. Messages appear above the bar, which is
    shown when training begins: until then, tuning may show its own.

    Attributes:
        messages: the printed lines.
    """

    def __init__(self, bars):
        """Keep the progress display of rich, which is not started."""
        self.bars = bars
        self.messages: list[str] = []
        self.finished = 0
        self.on_steps = self.advance

    def start_training(self, stages: Mapping[str, int]) -> None:
        """Show the bar."""
        total = sum(step_cost(name) * steps for name, steps in stages.items())
        self.task = self.bars.add_task("starting", total=total)
        self.bars.start()

    def start_fit(self, method: str, seed: int) -> None:
        """Show the seed and the method beside the bar."""
        self.bars.update(self.task, description=f"seed {seed}: {method}")

    def advance(self, stage: str, step: int, steps: int) -> None:
        """Move the bar to a step of the current stage; the last step completes the stage.

        Args:
            stage: name of the stage.
            step: number of steps done.
            steps: all steps of the stage.
        """
        self.bars.update(self.task, completed=self.finished + step_cost(stage) * step)
        if step == steps:
            self.finished += step_cost(stage) * steps

    def message(self, line: str) -> None:
        """Print the line above the bar, with control characters escaped."""
        self.messages.append(line)
        self.bars.console.print(
            escape_controls(line), markup=False, highlight=False, soft_wrap=True
        )

    def finish(self) -> None:
        """Show `evaluating` beside the bar."""
        self.bars.update(self.task, description="evaluating")


def count_steps(
    settings: Settings,
    methods: Collection[str],
    num_seeds: int,
    tuned: Mapping[str, Settings] | None = None,
) -> dict[str, int]:
    """Return the training steps of a calibration over all seeds, by stage (`erm`, `cfr` and so on).

    A stage that several methods need, such as that of ERM, is counted once, and once more for each
    method whose tuned settings change it.

    Args:
        settings: the settings of the methods that are not tuned.
        methods: the methods.
        num_seeds: number of seeds.
        tuned: the settings of each tuned method.
    """
    own = dict.fromkeys(methods, settings) | dict(tuned or {})
    stages = {
        (stage.name, stage.key(own[name])): num_seeds * stage.num_steps(own[name])
        for name in methods
        for stage in load_method(name).stages
    }
    names = dict.fromkeys(name for name, _ in stages)
    return {each: sum(n for (name, _), n in stages.items() if name == each) for each in names}


def step_cost(stage: str) -> int:
    """Return the cost of a step of a stage, which is shared or has the name of its method."""
    shared = {each.name: each for each in SHARED_STAGES}
    return (shared[stage] if stage in shared else load_method(stage).stage).cost


@contextmanager
def show_progress() -> Iterator[LineReporter | BarReporter]:
    """Yield a reporter for a calibration: a bar if standard error is a terminal, else lines."""
    if not sys.stderr.isatty():
        yield LineReporter()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True)
    bars = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
    try:
        yield BarReporter(bars)
    finally:
        bars.stop()
