"""What a grid is: its space, and all that its results depend on beside it."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.axes import Choices, Interval, Value
from clip_cfr.calibrate.grid.space import Space

SAMPLERS = ("grid", "tpe", "random")
PRUNABLE = "cfr"


@dataclass(frozen=True)
class Plan:
    """Which points to fit, and how; a point is one combination of settings over all seeds.

    Attributes:
        cache: SHA-256 of the cache's contents.
        space: the axes by name, the first of them varying slowest.
        fixed: the settings of every point but for what the space says.
        seeds: the seeds that every point is fitted with.
        method: the method that is fitted.
        sampler: one of `SAMPLERS`; `grid` stands for every combination.
        prune: whether hopeless points are stopped early.
        trials: how many points to propose; None for `grid`.
        hold_rows: rows of features that are held in memory at a time; None for all.

    Raises:
        SettingsError: the parts do not go together.
    """

    cache: str
    space: Space
    fixed: Settings
    seeds: tuple[int, ...]
    method: str = "cfr"
    sampler: str = "grid"
    prune: bool = False
    trials: int | None = None
    hold_rows: int | None = None

    def __post_init__(self):
        intervals = [name for name, axis in self.space.items() if isinstance(axis, Interval)]
        if self.sampler == "grid" and intervals:
            raise SettingsError(
                f"--set {intervals[0]}: a range has no every combination; list its values, "
                "or sample it with --sampler tpe or random"
            )
        if self.sampler == "grid" and self.trials is not None:
            raise SettingsError("--trials: --sampler grid takes every combination; leave it out")
        if self.sampler != "grid" and self.trials is None:
            raise SettingsError(f"--sampler {self.sampler} needs --trials, the number of points")
        if self.prune and self.method != PRUNABLE:
            raise SettingsError(f"--prune stops {PRUNABLE} alone, not {self.method}; leave it out")

    @property
    def num_points(self) -> int:
        """How many points there are to fit."""
        return prod(self.shape) if self.trials is None else self.trials

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The number of values of each axis."""
        axes = self.space.values()
        return tuple(len(axis.values) for axis in axes if isinstance(axis, Choices))

    @property
    def criterion(self) -> str:
        """What points are ranked by, on the validation split."""
        return "worst-class" if self.fixed.selection == "last" else self.fixed.selection

    @property
    def metric(self) -> str:
        """The criterion's name among the metrics."""
        return self.criterion.replace("-", "_")

    def combination(self, point: int) -> dict[str, Value]:
        """The values of a point of the grid; the first axis varies slowest."""
        places = np.unravel_index(point, self.shape)
        return {
            name: axis.values[place]
            for (name, axis), place in zip(self.space.items(), places, strict=True)
        }

    def settings(self, values: dict[str, Value]) -> Settings:
        """The settings of a point."""
        return replace(self.fixed, **values)

    def make_sampler(self, point: int) -> BaseSampler:
        """What proposes a point: a function of the first seed, the point and what is known then.

        Seeded for each point, so that whoever goes on after a stop proposes what would have come.
        """
        state = np.random.SeedSequence([self.seeds[0], point]).generate_state(1)
        kind = TPESampler if self.sampler == "tpe" else RandomSampler
        return kind(seed=int(state[0]))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that the results depend on, as JSON has it; not how many of them are wanted."""
        fixed = {k: v for k, v in asdict(self.fixed).items() if k not in self.space}
        return {
            "cache": self.cache,
            "space": {name: axis.as_json() for name, axis in self.space.items()},
            "settings": fixed,
            "seeds": list(self.seeds),
            "method": self.method,
            "sampler": self.sampler,
            "prune": self.prune,
            "hold_rows": self.hold_rows,
        }

    @property
    def digest(self) -> str:
        """A short name for the identity."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]
