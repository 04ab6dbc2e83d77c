"""Bars of several series side by side, with whiskers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_cfr.calibrate.report.plots.plot import (
    COLOURS,
    Plot,
    add_legend,
    finite,
    literal,
    text_label,
    without_none,
    wrap,
    wrapped_label,
)

# In pixels, so that labels stay level.
WIDTH_OF_BAR, WIDTH_OF_LABEL = 22, 125


@dataclass(frozen=True)
class Bars(Plot):
    """Bars of several series, grouped by category.

    Attributes:
        categories: the lines of the label of each category.
        series: a value for each category, by title of the series; None leaves a gap.
        whiskers: half the length of each whisker, by title; a series may have none.
        unit: title of the axis of values.
        maximum: upper end of the axis of values; None for that of the values.
    """

    categories: tuple[tuple[str, ...], ...]
    series: Mapping[str, tuple[float | None, ...]]
    whiskers: Mapping[str, tuple[float | None, ...]]
    unit: str
    maximum: float | None = None

    def figure(self) -> dict[str, Any]:
        """Return the plot as a figure of plotly."""
        labels = [wrapped_label(*each) for each in self.categories]
        positions = list(range(len(labels)))
        data = []
        for colour, (title, values) in zip(cycle(self.series), self.series.items(), strict=True):
            trace = {
                "type": "bar",
                "name": text_label(title),
                "x": positions,
                "y": finite(values),
                "hovertext": labels,
                "hovertemplate": f"%{{y:.1f}}<br>%{{hovertext}}<extra>{text_label(title)}</extra>",
                "marker": {"color": colour},
            }
            if title in self.whiskers:
                trace["error_y"] = {"type": "data", "array": finite(self.whiskers[title])}
            data.append(trace)
        return {"data": data, "layout": self.layout(positions, labels)}

    def layout(self, positions: list[int], labels: list[str]) -> dict[str, Any]:
        """Return the layout of plotly."""
        values = {"title": {"text": text_label(self.unit)}, "rangemode": "tozero"}
        if self.maximum is not None:
            values["range"] = [0, self.maximum]
        return {
            "barmode": "group",
            "height": 440,
            "minimum_width": 60
            + len(labels) * max(WIDTH_OF_LABEL, WIDTH_OF_BAR * len(self.series)),
            "xaxis": {
                "tickvals": positions,
                "ticktext": labels,
                "automargin": True,
                "showgrid": False,
            },
            "yaxis": values,
        }

    def draw(self, figure: Any) -> None:
        """Draw the plot into a matplotlib figure."""
        axes = figure.add_subplot()
        places, width = np.arange(len(self.categories)), 0.8 / max(len(self.series), 1)
        colours = cycle(self.series)
        for index, (title, values) in enumerate(self.series.items()):
            whiskers = self.whiskers.get(title)
            axes.bar(
                places + (index - (len(self.series) - 1) / 2) * width,
                without_none(values),
                width,
                yerr=None if whiskers is None else without_none(whiskers),
                color=colours[index],
                label=literal(title),
            )
        labels = [
            "\n".join(literal(x) for line in each for x in wrap(line)) for each in self.categories
        ]
        axes.set_xticks(places, labels, fontsize="small")
        axes.set_ylabel(literal(self.unit))
        axes.set_ylim(0, self.maximum)
        if len(self.series) > 1:
            add_legend(figure)


def cycle(series: Mapping[str, Any]) -> list[str]:
    """Return a colour for each series."""
    return [COLOURS[index % len(COLOURS)] for index in range(len(series))]
