"""The interface of plots, their colours, and JSON that is safe within HTML."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from clip_cfr.cache.console import escape_controls

# Okabe and Ito's colours, which colour-blind people tell apart, without black and with grey: they
# are visible on a dark ground.
COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#999999",
)
# Colours repeat after eight categories; with another symbol each time.
PLOTLY_SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up", "x")
SYMBOLS = ("o", "D", "s", "P", "^", "X")
LINE_CHARACTERS = 20


@dataclass(frozen=True)
class Plot(ABC):
    """A plot.

    Attributes:
        name: identifies the plot, and is the stem of its file.
        title: one line above it.
        alt: a sentence that describes it to those who cannot see it.
    """

    name: str
    title: str
    alt: str

    @abstractmethod
    def figure(self) -> dict[str, Any]:
        """Return the plot as a figure of plotly: `data` and `layout` in JSON types."""

    @abstractmethod
    def draw(self, figure: Any) -> None:
        """Draw the plot into a matplotlib `Figure`."""

    def html(self, key: str) -> str:
        """Return the plot for the page.

        Args:
            key: unique on the page; the prefix of ids.
        """
        drawn = self.figure()
        width = drawn["layout"].pop("minimum_width", 0)
        height = drawn["layout"].get("height", 400)
        style = f"height:{height}px;min-width:{width}px"
        return (
            f'<figure id="{key}-{self.name}"><figcaption>{text_label(self.title)}</figcaption>'
            f'<div class=scroll tabindex=0 role=region aria-label="{text_label(self.title)}">'
            f'<div class=chart role=img aria-label="{text_label(self.alt)}" style="{style}">'
            f"</div></div>"
            f'<script type="application/json" class=figure>{safe_json(drawn)}</script></figure>'
        )


def safe_json(value: Any) -> str:
    """Return a value as JSON that cannot end the script element that it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def text_label(text: object) -> str:
    """Return a text as a label of HTML or plotly, which interprets some of HTML."""
    return escape(escape_controls(str(text)))


def wrapped_label(*lines: str) -> str:
    """Return lines as a label of plotly; long ones are broken between words."""
    return "<br>".join(text_label(each) for line in lines for each in wrap(line))


def wrap(line: str, width: int = LINE_CHARACTERS) -> list[str]:
    """Return a line broken between words into lines of about `width` characters."""
    found = [""]
    for word in line.split():
        if found[-1] and len(found[-1]) + 1 + len(word) > width:
            found.append(word)
        else:
            found[-1] = f"{found[-1]} {word}".strip()
    return found


def finite(values: Iterable[float | None], digits: int = 4) -> list[float | None]:
    """Return rounded numbers; None for those that JSON and plots do not have, such as NaN."""
    return [
        round(float(each), digits) if each is not None and math.isfinite(each) else None
        for each in values
    ]


def without_none(values: Sequence[float | None]) -> list[float]:
    """Return numbers with NaN in place of None, as matplotlib expects."""
    return [math.nan if each is None else each for each in values]


def add_legend(figure: Any, *entries: Any, columns: int = 4) -> None:
    """Add a legend below a matplotlib figure, in at most `columns` columns that fit its width.

    Args:
        figure: the figure.
        entries: handles and labels; by default those of the axes.
        columns: largest number of columns.
    """
    for count in range(columns, 0, -1):
        place = {"loc": "outside lower center", "ncols": count, "frameon": False}
        legend = figure.legend(*entries, **place)
        if count == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def literal(text: object) -> str:
    """Return a text for matplotlib, which would read `$` as the start of a formula."""
    return escape_controls(str(text)).replace("$", r"\$")
