"""Validation accuracy over each pair of settings, or over each sampled setting."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from clip_cfr.calibrate.grid.point_result import PointResult
from clip_cfr.calibrate.grid.result import GridResult
from clip_cfr.calibrate.methods import METHOD_TITLES
from clip_cfr.calibrate.report.grid_points import (
    complete_points,
    is_number,
    name_points,
    per_cent,
    sorted_values,
    value_names,
    varied_settings,
)
from clip_cfr.calibrate.report.plots.heat_maps import HeatMaps
from clip_cfr.calibrate.report.plots.plot import Plot
from clip_cfr.calibrate.report.plots.points import Points, Series
from clip_cfr.calibrate.report.section import Section, paragraph
from clip_cfr.calibrate.report.source import GridSource

MAX_PLOTS = 6
MAX_VALUES = 24
# A range of at least this factor gets a logarithmic axis.
LOG_FACTOR = 50


def make(source: GridSource) -> Section | None:
    """Return the section with a plot for each pair of settings; None if nothing is varied."""
    result = source.result
    plots = [plot for name in result.methods for plot in plot_method(result, name)]
    if not plots:
        return None
    note = f"Mean validation {result.criterion} accuracy in per cent"
    note += " over all settings that a plot does not show."
    if len(plots) > MAX_PLOTS:
        note += f" Shown are {MAX_PLOTS} of {len(plots)} plots."
    parts = (paragraph(note, "note"), *plots[:MAX_PLOTS])
    return Section("heat-maps", "Accuracy over the settings", parts)


def plot_method(result: GridResult, method: str) -> Iterator[Plot]:
    """Yield heat maps for the pairs of a method's settings that have few values.

    A setting with many values, or the only one, gets a plot of points.
    """
    points = complete_points(result, method)
    names = varied_settings(points)
    few = [name for name in names if len(sorted_values(points, name)) <= MAX_VALUES]
    many_points = result.sampler != "grid"
    pairs = [] if many_points else list(combinations(few, 2))
    yield from (plot_pair(result, points, method, *pair) for pair in pairs)
    alone = [each for each in names if each not in {name for pair in pairs for name in pair}]
    yield from (plot_setting(result, points, method, name) for name in alone)


def plot_pair(
    result: GridResult, points: Sequence[PointResult], method: str, first: str, second: str
) -> HeatMaps:
    """Return a heat map of the mean validation accuracy over two settings."""
    columns, rows = sorted_values(points, first), sorted_values(points, second)
    cells = np.full((len(rows), len(columns)), np.nan)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            here = [
                value
                for each in points
                if each.settings[first] == column and each.settings[second] == row
                if (value := per_cent(each, "val", result.metric)) is not None
            ]
            if here:
                cells[y, x] = np.mean(here)
    title = f"{METHOD_TITLES[method]}: {first} and {second}"
    return HeatMaps(
        name=f"heat-{method}-{first}-{second}",
        title=title,
        alt=f"Heat map of validation accuracy over {first} and {second}.",
        columns=value_names(columns),
        rows=value_names(rows),
        values={title: cells},
        x_title=first,
        y_title=second,
        unit="per cent",
        digits=1,
    )


def plot_setting(
    result: GridResult, points: Sequence[PointResult], method: str, name: str
) -> Points:
    """Return the validation accuracy of each point over one setting.

    Values that are no numbers are placed by their order, and named on hovering.
    """
    values = sorted_values(points, name)
    numbers = all(map(is_number, values))
    x = [each.settings[name] if numbers else values.index(each.settings[name]) for each in points]
    log = numbers and values[0] > 0 and values[-1] >= LOG_FACTOR * values[0]
    kinds = "" if numbers else f" ({', '.join(value_names(values))})"
    return Points(
        name=f"setting-{method}-{name}",
        title=f"{METHOD_TITLES[method]}: {name}",
        alt=f"Points of validation accuracy over {name}.",
        series={
            METHOD_TITLES[method]: Series(
                x=tuple(map(float, x)),
                y=tuple(per_cent(each, "val", result.metric) for each in points),
                names=name_points(result, points),
            )
        },
        x_title=f"{name}{kinds}",
        y_title=f"val {result.criterion}, per cent",
        log_x=log,
    )
