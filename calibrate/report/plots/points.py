"""Points over two axes, in series."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clip_cfr.calibrate.report.plots.plot import (
    COLOURS,
    PLOTLY_SYMBOLS,
    SYMBOLS,
    Plot,
    add_legend,
    finite,
    literal,
    text_label,
    without_none,
)


@dataclass(frozen=True)
class Series:
    """Points with a name each.

    Attributes:
        x, y: their coordinates.
        names: their names, which the page shows on hovering.
    """

    x: tuple[float | None, ...]
    y: tuple[float | None, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Points(Plot):
    """Points over two axes.

    Attributes:
        series: the points by title of their series.
        x_title, y_title: titles of the axes.
        log_x: whether the axis of x is logarithmic.
    """

    series: Mapping[str, Series]
    x_title: str
    y_title: str
    log_x: bool = False

    def figure(self) -> dict[str, Any]:
        """Return the plot as a figure of plotly."""
        data = [
            {
                "type": "scatter",
                "mode": "markers",
                "name": text_label(title),
                "x": finite(each.x, 8),
                "y": finite(each.y),
                "text": [text_label(name) for name in each.names],
                "hovertemplate": "%{text}<br>%{x}, %{y:.1f}<extra></extra>",
                "marker": {
                    "color": COLOURS[index % len(COLOURS)],
                    "symbol": PLOTLY_SYMBOLS[index % len(PLOTLY_SYMBOLS)],
                    "size": 9,
                },
            }
            for index, (title, each) in enumerate(self.series.items())
        ]
        x_axis = {"title": {"text": text_label(self.x_title)}}
        if self.log_x:
            x_axis["type"] = "log"
        y_axis = {"title": {"text": text_label(self.y_title)}}
        return {"data": data, "layout": {"height": 420, "xaxis": x_axis, "yaxis": y_axis}}

    def draw(self, figure: Any) -> None:
        """Draw the plot into a matplotlib figure."""
        axes = figure.add_subplot()
        for index, (title, each) in enumerate(self.series.items()):
            axes.scatter(
                without_none(each.x),
                without_none(each.y),
                color=COLOURS[index % len(COLOURS)],
                marker=SYMBOLS[index % len(SYMBOLS)],
                label=literal(title),
            )
        if self.log_x:
            axes.set_xscale("log")
        axes.set_xlabel(literal(self.x_title))
        axes.set_ylabel(literal(self.y_title))
        add_legend(figure, columns=3)
