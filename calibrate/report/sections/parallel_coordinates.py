"""Parallel coordinates of the points of a grid."""

import math
from collections.abc import Sequence

from clip_cfr.calibrate.grid.point_result import PointResult
from clip_cfr.calibrate.grid.result import GridResult
from clip_cfr.calibrate.methods import METHOD_TITLES
from clip_cfr.calibrate.report.grid_points import (
    complete_points,
    is_number,
    per_cent,
    sorted_values,
    value_names,
    varied_settings,
)
from clip_cfr.calibrate.report.plots.parallel import Axis, ParallelCoordinates
from clip_cfr.calibrate.report.section import Section, paragraph
from clip_cfr.calibrate.report.source import GridSource

LOG_FACTOR = 50
MAX_TICKS = 12


def make(source: GridSource) -> Section | None:
    """Return the section with the parallel coordinates of each method; None without settings."""
    result = source.result
    plots = [plot for name in result.methods if (plot := plot_method(result, name)) is not None]
    if not plots:
        return None
    note = "One line for each point; drag along an axis to keep a range, and drag titles to move."
    return Section("parallel", "Parallel coordinates", (paragraph(note, "note"), *plots))


def plot_method(result: GridResult, method: str) -> ParallelCoordinates | None:
    """Return the parallel coordinates of a method's points; None without settings."""
    points = [
        each
        for each in complete_points(result, method)
        if None not in (per_cent(each, "val", result.metric), per_cent(each, "test", "worst_group"))
    ]
    names = varied_settings(points)
    if not names:
        return None
    accuracies = (
        Axis(
            f"test {result.worst}",
            tuple(per_cent(each, "test", "worst_group") for each in points),
        ),
        Axis(
            f"val {result.criterion}",
            tuple(per_cent(each, "val", result.metric) for each in points),
        ),
    )
    return ParallelCoordinates(
        name=f"parallel-{method}",
        title=f"{METHOD_TITLES[method]}: settings and accuracies in per cent",
        alt="Parallel coordinates of the settings and accuracies; the table has the best points.",
        axes=(*(setting_axis(points, name) for name in names), *accuracies),
    )


def setting_axis(points: Sequence[PointResult], name: str) -> Axis:
    """Return the axis of a setting: few values as categories at equal distances, many as numbers.

    Numbers that span a factor of `LOG_FACTOR` are logarithms to the base of 10.
    """
    values = sorted_values(points, name)
    chosen = [each.settings[name] for each in points]
    if len(values) <= MAX_TICKS or not all(map(is_number, values)):
        ticks = tuple(zip(map(float, range(len(values))), value_names(values), strict=True))
        return Axis(name, tuple(float(values.index(each)) for each in chosen), ticks)
    if values[0] > 0 and values[-1] >= LOG_FACTOR * values[0]:
        return Axis(f"log10 {name}", tuple(math.log10(each) for each in chosen))
    return Axis(name, tuple(map(float, chosen)))
