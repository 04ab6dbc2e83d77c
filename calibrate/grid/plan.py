"""Plan of a grid: the points of a method to fit, and everything that their results depend on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from clip_cfr.calibrate.comparison.method_result import metric_of
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import Settings, Value
from clip_cfr.calibrate.grid.axes import Choices, Interval
from clip_cfr.calibrate.grid.space import Space
from clip_cfr.calibrate.methods import load_method
from clip_cfr.calibrate.runtime.precision import resolve_precision

SAMPLERS = ("grid", "tpe", "random")
PRUNABLE_METHOD = "cfr"


@dataclass(frozen=True)
class Plan:
    """The points of one method to fit; a point is one combination of settings over all seeds.

    Attributes:
        cache_digest: SHA-256 of the cache's contents.
        space: the axes by setting; the first one varies slowest.
        fixed: the settings of every point, except those of the axes.
        seeds: the seeds that every point is fitted with.
        method: the method to fit.
        sampler: one of `SAMPLERS`; `grid` fits every combination.
        prune: whether to stop unpromising points early.
        trials: number of points to propose; None for `grid`.
        resident_rows: rows of features in memory at a time; None for all.
        prompts: the set of class prompts; None for those of the cache.
        named: the attributes named in words, see `EmbeddedAttributes.to_json`; None if none is.
        is_reference: whether the point is shown beside the grid rather than ranked in it.
        starts_with_fixed: whether the first proposed point has the values of `fixed` on all axes.
        val_fraction: fraction of the training rows to draw as val; None draws none.
        points: the values of every setting of the space, for each point, if not all combinations
            are to be fitted; only with the sampler `grid`.
        has_details: whether each seed's result has `SeedDetails`.

    Raises:
        SettingsError: the arguments contradict each other.
    """

    cache_digest: str
    space: Space
    fixed: Settings
    seeds: tuple[int, ...]
    method: str = "cfr"
    sampler: str = "grid"
    prune: bool = False
    trials: int | None = None
    resident_rows: int | None = None
    prompts: str | None = None
    named: Mapping[str, Any] | None = None
    is_reference: bool = False
    starts_with_fixed: bool = False
    val_fraction: float | None = None
    points: tuple[Mapping[str, Value], ...] | None = None
    has_details: bool = False

    def __post_init__(self):
        if self.sampler not in SAMPLERS:
            raise SettingsError(
                f"sampler is {self.sampler!r}, expected one of: {', '.join(SAMPLERS)}"
            )
        if not self.seeds:
            raise SettingsError("seeds is empty, expected at least one")
        intervals = [name for name, axis in self.space.items() if isinstance(axis, Interval)]
        if self.sampler == "grid" and intervals:
            raise SettingsError(
                f"--set {intervals[0]}: a range cannot be enumerated; give values, or use "
                "--sampler tpe or random"
            )
        if self.sampler == "grid" and self.trials is not None:
            raise SettingsError("--trials: --sampler grid fits every combination; leave it out")
        if self.sampler != "grid" and self.trials is None:
            raise SettingsError(f"--sampler {self.sampler} needs --trials, the number of points")
        if self.prune and self.method != PRUNABLE_METHOD:
            raise SettingsError(
                f"--prune works with {PRUNABLE_METHOD} only, not with {self.method}; leave it out"
            )

    @property
    def num_points(self) -> int:
        """Number of points to fit: `trials`, or `points`, or the combinations of a full grid."""
        if self.points is not None:
            return len(self.points)
        return prod(self.shape) if self.trials is None else self.trials

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis of `Choices`, in their order; () without axes."""
        return tuple(len(axis.values) for axis in self.space.values() if isinstance(axis, Choices))

    @property
    def criterion(self) -> str:
        """Validation criterion that ranks the points, such as `inferred-groups`."""
        return ranking_criterion(self.fixed.selection)

    @property
    def metric(self) -> str:
        """Name of the criterion among the metrics, such as `inferred_groups`."""
        return metric_of(self.fixed.selection)

    def values_at(self, point: int) -> dict[str, Value]:
        """Return the values of a point of a full grid by setting.

        Args:
            point: index from 0 below `num_points`; the first axis varies slowest.

        Raises:
            ValueError: there is no such point.
        """
        if self.points is not None:
            return dict(self.points[point])
        indices = np.unravel_index(point, self.shape)
        return {
            name: axis.values[index]
            for (name, axis), index in zip(self.space.items(), indices, strict=True)
        }

    def given_values(self, point: int) -> dict[str, Value] | None:
        """Return the values of a point by setting; None if a sampler proposes them."""
        if self.sampler == "grid":
            return self.values_at(point)
        if self.starts_with_fixed and point == 0:
            return {name: getattr(self.fixed, name) for name in self.space}
        return None

    def index_of(self, values: Mapping[str, Value]) -> int | None:
        """Return the index of the point of a full grid that has these values.

        None if there is no such point, also if a setting is missing or not varied.
        """
        if values.keys() != self.space.keys():
            return None
        if self.points is not None:
            return next((k for k, each in enumerate(self.points) if each == values), None)
        point = 0
        for name, axis in self.space.items():
            if values[name] not in axis.values:
                return None
            point = point * len(axis.values) + axis.values.index(values[name])
        return point

    def settings_with(self, values: Mapping[str, Value]) -> Settings:
        """Return the fixed settings with these values of the varied ones.

        Raises:
            SettingsError: a value is out of its range.
        """
        return resolve_precision(replace(self.fixed, **values))

    def make_sampler(self, point: int) -> BaseSampler:
        """Return Optuna's sampler that proposes a point: TPE for `tpe`, otherwise random.

        Its seed depends on the first seed and the point alone, so that a resumed search proposes
        the same points as one that was never interrupted.
        """
        state = np.random.SeedSequence([self.seeds[0], point]).generate_state(1)
        sampler = TPESampler if self.sampler == "tpe" else RandomSampler
        return sampler(seed=int(state[0]))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that stored results depend on, by name in JSON types.

        The number of trials is left out, and so are the values of a full grid: a search may grow.
        """
        axes = {name: axis.to_json() for name, axis in self.space.items()}
        return {
            "cache": self.cache_digest,
            "space": list(axes) if self.sampler == "grid" else axes,
            "settings": self.fixed_settings,
            "seeds": list(self.seeds),
            "method": self.method,
            "sampler": self.sampler,
            "prune": self.prune,
            "hold_rows": self.resident_rows,
            # Left out for the cache's own prompts, as in grids of earlier versions.
            **({} if self.prompts is None else {"prompts": self.prompts}),
            # Only the plans of tuning have these.
            **({"starts_with_fixed": True} if self.starts_with_fixed else {}),
            **({} if self.val_fraction is None else {"val_fraction": self.val_fraction}),
            # Left out without attributes named in words, as in grids of earlier versions.
            **({} if self.named is None else {"named": dict(self.named)}),
            # Left out without details, as in grids of earlier versions.
            **({"details": True} if self.has_details else {}),
        }

    @property
    def fixed_settings(self) -> dict[str, Value]:
        """The settings that are not varied, by name.

        For a reference, only those that its method depends on, and the selection.
        """
        fixed = {k: v for k, v in asdict(self.fixed).items() if k not in self.space}
        if not self.is_reference:
            return fixed
        used = (*load_method(self.method).used_settings, "selection")
        return {name: value for name, value in fixed.items() if name in used}

    @property
    def digest(self) -> str:
        """Eight hex digits of the SHA-256 of the identity."""
        return short_digest(self.identity)

    @property
    def legacy_digest(self) -> str:
        """The digest of earlier versions, which included the values of a full grid."""
        axes = {name: axis.to_json() for name, axis in self.space.items()}
        return short_digest({**self.identity, "space": axes})


def ranking_criterion(selection: str) -> str:
    """Return the validation criterion that ranks points: `selection`; for `last`, `worst-class`."""
    return "worst-class" if selection == "last" else selection


def short_digest(value: Any) -> str:
    """Return the first eight hex digits of the SHA-256 of a value as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
