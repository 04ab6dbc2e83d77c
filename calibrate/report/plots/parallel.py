"""Parallel coordinates: one line for each point, one axis for each of its values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_cfr.calibrate.report.plots.plot import Plot, finite, literal, text_label

# From low to high; all are visible on a light and on a dark ground.
SCALE = ((0.0, "#0072B2"), (0.5, "#999999"), (1.0, "#E69F00"))


@dataclass(frozen=True)
class Axis:
    """An axis of parallel coordinates.

    Attributes:
        title: its title.
        values: the position of each point on it.
        ticks: labels by position; None for an axis of numbers.
    """

    title: str
    values: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...] | None = None

    def scaled(self) -> np.ndarray:
        """Return the positions scaled to [0, 1]; 0.5 if all are equal."""
        values = np.asarray(self.values, np.float64)
        low, high = values.min(), values.max()
        return (values - low) / (high - low) if high > low else np.full(len(values), 0.5)


@dataclass(frozen=True)
class ParallelCoordinates(Plot):
    """One line for each point, coloured by its position on the last axis.

    Attributes:
        axes: the axes, from left to right.
    """

    axes: tuple[Axis, ...]

    def figure(self) -> dict[str, Any]:
        """Return the plot as a figure of plotly."""
        last = self.axes[-1]
        line = {"color": finite(last.values), "colorscale": SCALE, "showscale": False}
        dimensions = [
            {"label": text_label(axis.title), "values": finite(axis.values, 8), **ticks(axis)}
            for axis in self.axes
        ]
        trace = {"type": "parcoords", "line": line, "dimensions": dimensions}
        width = 140 * len(self.axes)
        layout = {"height": 440, "minimum_width": width, "margin": {"l": 70, "r": 70, "t": 70}}
        return {"data": [trace], "layout": layout}

    def draw(self, figure: Any) -> None:
        """Draw the plot into a matplotlib figure."""
        from matplotlib.colors import LinearSegmentedColormap

        colours = LinearSegmentedColormap.from_list("points", SCALE)
        axes = figure.add_subplot()
        lines = np.stack([axis.scaled() for axis in self.axes], axis=1)
        for line in lines[np.argsort(lines[:, -1])]:
            axes.plot(range(len(line)), line, color=colours(line[-1]), linewidth=1.5)
        axes.set_xticks(range(len(self.axes)), [literal(axis.title) for axis in self.axes])
        axes.set_yticks([])
        for place, axis in enumerate(self.axes):
            axes.axvline(place, color="grey", linewidth=0.8)
            for height, label in end_labels(axis):
                axes.annotate(literal(label), (place, height), fontsize="small")


def ticks(axis: Axis) -> dict[str, Any]:
    """Return the ticks of an axis of categories for plotly; none for numbers."""
    if axis.ticks is None:
        return {}
    positions, labels = zip(*axis.ticks, strict=True)
    return {"tickvals": list(positions), "ticktext": [text_label(each) for each in labels]}


def end_labels(axis: Axis) -> Sequence[tuple[float, str]]:
    """Return the labels of an axis with their heights in [0, 1]: its ticks, or both ends."""
    low, high = min(axis.values), max(axis.values)
    span = high - low
    if axis.ticks is None:
        return ((0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")) if span else ((0.5, f"{low:.4g}"),)
    known = [(place, label) for place, label in axis.ticks if low <= place <= high]
    return [((place - low) / span if span else 0.5, label) for place, label in known]
