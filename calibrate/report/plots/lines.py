"""Lines over one axis, with marked positions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clip_cfr.calibrate.report.plots.plot import (
    COLOURS,
    Plot,
    add_legend,
    finite,
    literal,
    text_label,
    without_none,
)

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
LINE_STYLES = ("-", "--", ":", "-.", (0, (8, 3)))


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        x, y: its points, in the order of `x`.
        colour: index of its colour.
        dash: index of its dashes.
        selected: position on `x` to mark; None for none.
    """

    x: tuple[float, ...]
    y: tuple[float | None, ...]
    colour: int
    dash: int = 0
    selected: float | None = None

    @property
    def mark(self) -> tuple[float, float | None] | None:
        """The last point up to the selected position, or None without one."""
        if self.selected is None or not self.x:
            return None
        before = [point for point in zip(self.x, self.y, strict=True) if point[0] <= self.selected]
        return before[-1] if before else (self.x[0], self.y[0])


@dataclass(frozen=True)
class Lines(Plot):
    """Lines over one axis.

    Attributes:
        lines: the lines by title.
        x_title, y_title: titles of the axes.
    """

    lines: Mapping[str, Line]
    x_title: str
    y_title: str

    def figure(self) -> dict[str, Any]:
        """Return the plot as a figure of plotly."""
        data = []
        for title, line in self.lines.items():
            colour = COLOURS[line.colour % len(COLOURS)]
            style = {"color": colour, "dash": DASHES[line.dash % len(DASHES)]}
            name = text_label(title)
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": name,
                    "legendgroup": name,
                    "x": finite(line.x),
                    "y": finite(line.y),
                    "line": style,
                }
            )
            if line.mark is not None:
                data.append(marker(name, line.mark, colour))
        axes = {
            "xaxis": {"title": {"text": text_label(self.x_title)}},
            "yaxis": {"title": {"text": text_label(self.y_title)}},
        }
        return {"data": data, "layout": {"height": 420, **axes}}

    def draw(self, figure: Any) -> None:
        """Draw the plot into a matplotlib figure."""
        axes = figure.add_subplot()
        for title, line in self.lines.items():
            colour = COLOURS[line.colour % len(COLOURS)]
            style = LINE_STYLES[line.dash % len(LINE_STYLES)]
            values = without_none(line.y)
            axes.plot(line.x, values, color=colour, linestyle=style, label=literal(title))
            if line.mark is not None:
                x, y = line.mark
                axes.plot([x], without_none([y]), "o", color=colour, markeredgecolor="black")
        axes.set_xlabel(literal(self.x_title))
        axes.set_ylabel(literal(self.y_title))
        add_legend(figure, columns=3)


def marker(name: str, point: tuple[float, float | None], colour: str) -> dict[str, Any]:
    """Return the trace of a selected point, without an entry of its own in the legend."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{name}, selected",
        "legendgroup": name,
        "showlegend": False,
        "x": finite(point[:1]),
        "y": finite(point[1:]),
        "marker": {"color": colour, "size": 12, "line": {"width": 2, "color": "#888"}},
    }
