"""Heat maps side by side, with one scale of colours and their values as text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from clip_cfr.calibrate.report.plots.plot import (
    LINE_CHARACTERS,
    Plot,
    finite,
    literal,
    text_label,
    wrap,
)

CELLS_WITH_TEXT = 150


@dataclass(frozen=True)
class HeatMaps(Plot):
    """Heat maps with equal axes, side by side.

    Attributes:
        columns, rows: labels of the cells.
        values: the cells by title of the map; NaN leaves a cell empty.
        x_title, y_title: titles of the axes.
        unit: title of the scale of colours.
        digits: decimals of the values.
    """

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: Mapping[str, Float[np.ndarray, "rows columns"]]
    x_title: str
    y_title: str
    unit: str
    digits: int = 2

    @property
    def has_texts(self) -> bool:
        """Whether cells show their value as text."""
        return len(self.columns) * len(self.rows) <= CELLS_WITH_TEXT

    def bounds(self) -> tuple[float, float]:
        """Return the smallest and the largest value of all maps."""
        known = np.concatenate([each[np.isfinite(each)] for each in self.values.values()])
        return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)

    def figure(self) -> dict[str, Any]:
        """Return the plot as a figure of plotly."""
        low, high = self.bounds()
        count, gap = len(self.values), 0.06 if len(self.values) > 1 else 0.0
        width = (1 - gap * (count - 1)) / count
        data, layout = [], {"annotations": []}
        for index, (title, cells) in enumerate(self.values.items()):
            suffix = "" if index == 0 else str(index + 1)
            start = index * (width + gap)
            data.append(self.trace(cells, suffix, low, high, show_scale=index == count - 1))
            layout[f"xaxis{suffix}"] = {
                **axis([[shorten(each)] for each in self.columns], self.x_title),
                "domain": [start, min(start + width, 1)],
                "anchor": f"y{suffix}",
            }
            layout[f"yaxis{suffix}"] = {
                **axis(map(lines_of_row, self.rows), self.y_title),
                "autorange": "reversed",
                "showticklabels": index == 0,
                "anchor": f"x{suffix}",
            }
            if count > 1:
                layout["annotations"].append(heading(title, start + width / 2))
        height = 220 + 36 * max(len(self.rows), 3)
        layout |= {"height": min(height, 900), "minimum_width": 330 * count}
        return {"data": data, "layout": layout}

    def trace(self, cells, suffix: str, low: float, high: float, show_scale: bool) -> dict:
        """Return one map as a trace of plotly."""
        text = {"texttemplate": f"%{{z:.{self.digits}f}}"} if self.has_texts else {}
        return {
            "type": "heatmap",
            "z": [finite(row) for row in cells],
            "zmin": low,
            "zmax": high,
            "colorscale": "Cividis",
            "showscale": show_scale,
            "colorbar": {"title": {"text": text_label(self.unit)}, "thickness": 12},
            "xaxis": f"x{suffix}",
            "yaxis": f"y{suffix}",
            "hoverongaps": False,
            **text,
        }

    def draw(self, figure: Any) -> None:
        """Draw the plot into a matplotlib figure."""
        low, high = self.bounds()
        all_axes = np.atleast_1d(figure.subplots(1, len(self.values), sharey=True))
        for axes, (title, cells) in zip(all_axes, self.values.items(), strict=True):
            image = axes.imshow(cells, cmap="cividis", vmin=low, vmax=high, aspect="auto")
            options = {"fontsize": "small"}
            columns = [literal(shorten(each)) for each in self.columns]
            axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right", **options)
            rows = ["\n".join(map(literal, lines_of_row(each))) for each in self.rows]
            axes.set_yticks(range(len(rows)), rows, **options)
            axes.set_xlabel(literal(self.x_title))
            axes.set_ylabel(literal(self.y_title))
            axes.set_title(literal(title) if len(self.values) > 1 else "")
            if self.has_texts:
                self.write_values(axes, cells, (low + high) / 2)
        figure.colorbar(image, ax=list(all_axes), label=literal(self.unit))

    def write_values(self, axes: Any, cells, middle: float) -> None:
        """Write the value of each cell into it, in a colour that stands out."""
        for (row, column), value in np.ndenumerate(cells):
            if np.isfinite(value):
                colour = "white" if value < middle else "black"
                text = f"{value:.{self.digits}f}"
                axes.text(column, row, text, ha="center", va="center", color=colour)


def axis(labels: Iterable[Sequence[str]], title: str) -> dict[str, Any]:
    """Return an axis of plotly with a label for each cell, which has one or more lines."""
    shown = ["<br>".join(map(text_label, each)) for each in labels]
    ticks = {"tickvals": list(range(len(shown))), "ticktext": shown}
    return {**ticks, "title": {"text": text_label(title)}, "automargin": True}


def lines_of_row(label: str) -> list[str]:
    """Return the label of a row in lines, which are as high as a row if they are two."""
    return wrap(shorten(label, 2 * LINE_CHARACTERS))


def shorten(label: str, characters: int = LINE_CHARACTERS + 6) -> str:
    """Return a label, with an ellipsis in the middle if it is long."""
    if len(label) <= characters:
        return label
    half = (characters - 1) // 2
    return f"{label[:half]}…{label[-half:]}"


def heading(title: str, middle: float) -> dict[str, Any]:
    """Return the title above one of several maps, as an annotation of plotly."""
    place = {"x": middle, "y": 1.02, "xref": "paper", "yref": "paper", "yanchor": "bottom"}
    return {**place, "text": text_label(title), "showarrow": False}
