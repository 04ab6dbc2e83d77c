"""The plans that fit the points of a study on one cache."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clip_cfr.calibrate.core.settings import Settings, Value
from clip_cfr.calibrate.grid.axes import Choices, convert_value
from clip_cfr.calibrate.grid.grid_plan import GridPlan
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.studies.study import Point

Values = dict[str, Value]


@dataclass(frozen=True)
class Source:
    """What the plans of a study are made for.

    Attributes:
        cache_digest: SHA-256 of the cache's contents.
        seeds: the seeds of every point.
        resident_rows: rows of features in memory at a time; None for all.
        prompts: the set of class prompts; None for those of the cache.
    """

    cache_digest: str
    seeds: tuple[int, ...]
    resident_rows: int | None = None
    prompts: str | None = None


def make_plan(source: Source, points: Sequence[Point], fixed: Settings) -> GridPlan:
    """Return the plan that fits points with the same validation rows, method after method.

    Args:
        source: the cache and the seeds.
        points: the points; those with the same method and settings are fitted once.
        fixed: the settings that the points do not change.

    Raises:
        SettingsError: a value of a point does not suit the other settings.
    """
    methods = dict.fromkeys(each.method for each in points)
    return GridPlan(tuple(make_method_plan(source, points, fixed, each) for each in methods))


def make_method_plan(source: Source, points: Sequence[Point], fixed: Settings, method: str) -> Plan:
    """Return the plan of one method of the points; see `make_plan`."""
    values = distinct(point_values(points, fixed, each) for each in points if each.method == method)
    space = {name: Choices(tuple(distinct(each[name] for each in values))) for name in values[0]}
    return Plan(
        cache_digest=source.cache_digest,
        space=space,
        fixed=fixed,
        seeds=source.seeds,
        method=method,
        resident_rows=source.resident_rows,
        prompts=source.prompts,
        points=tuple(values),
        has_details=True,
    )


def point_values(points: Sequence[Point], fixed: Settings, point: Point) -> Values:
    """Return the values of all settings that some point of the same method changes.

    Args:
        points: all points.
        fixed: the values of settings that this point does not change.
        point: one of them.
    """
    names = (name for each in points if each.method == point.method for name in each.changes)
    return {
        name: convert_value(name, point.changes.get(name, getattr(fixed, name)), fixed)
        for name in dict.fromkeys(names)
    }


def distinct(values: Iterable) -> list:
    """Return values without repetitions, in their order."""
    found = []
    for each in values:
        if each not in found:
            found.append(each)
    return found
