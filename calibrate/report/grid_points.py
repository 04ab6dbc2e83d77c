"""The finished points of a grid as columns, for plots."""

from collections.abc import Sequence

from clip_cfr.calibrate.comparison.titles import format_value
from clip_cfr.calibrate.grid.axes import Value
from clip_cfr.calibrate.grid.point_result import PointResult
from clip_cfr.calibrate.grid.result import GridResult
from clip_cfr.calibrate.grid.table import describe_point


def complete_points(result: GridResult, method: str | None = None) -> list[PointResult]:
    """Return the complete points of a method, or of all methods, best first."""
    return [
        each for each in result.points if each.state == "complete" and method in (None, each.method)
    ]


def varied_settings(points: Sequence[PointResult]) -> list[str]:
    """Return the settings that all points have, with at least two values among them."""
    if not points:
        return []
    return [
        name
        for name in points[0].settings
        if all(name in each.settings for each in points)
        and len({each.settings[name] for each in points}) > 1
    ]


def per_cent(point: PointResult, split: str, metric: str) -> float | None:
    """Return a mean accuracy of a complete point in per cent; None where no group has rows."""
    value = getattr(point, split)[metric]
    return None if value is None else 100 * value


def sorted_values(points: Sequence[PointResult], name: str) -> list[Value]:
    """Return the distinct values of a setting: numbers in ascending order, others by name."""
    values = {each.settings[name] for each in points}
    return sorted(
        values, key=lambda each: (not is_number(each), each if is_number(each) else 0, str(each))
    )


def is_number(value: Value) -> bool:
    """Return whether a value is a number, and neither a bool nor text."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def name_points(result: GridResult, points: Sequence[PointResult]) -> tuple[str, ...]:
    """Return the name of each point, such as `lr 0.001, steps 500`."""
    return tuple(describe_point(each, len(result.methods) > 1) for each in points)


def value_names(values: Sequence[Value]) -> tuple[str, ...]:
    """Return values of a setting as text."""
    return tuple(map(format_value, values))
