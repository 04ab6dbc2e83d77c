"""A section of the report, and the HTML of its parts; every text is escaped here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escape_html

from clip_cfr.cache.console import escape_controls
from clip_cfr.calibrate.comparison.table import Table
from clip_cfr.calibrate.report.plots.plot import Plot

OPTION = re.compile(r"(?<!\S)--[\w-]+")


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        name: identifies the section; unique among the sections of a run or grid.
        title: its heading, as plain text.
        parts: its contents in their order, each HTML or a plot.
    """

    name: str
    title: str
    parts: tuple[str | Plot, ...]


def escape(text: object) -> str:
    """Return a text for HTML, with markup and control characters escaped."""
    return escape_html(escape_controls(str(text)))


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of a plain text.

    Args:
        text: the text.
        kind: class of the paragraph in the style sheet, such as `note`.
    """
    return f"<p{f' class={kind}' if kind else ''}>{escape(text)}</p>"


def bullet_list(items: Sequence[str], kind: str = "") -> str:
    """Return a list of plain texts; empty without items."""
    lines = "".join(f"<li>{escape(each)}</li>" for each in items)
    return f"<ul{f' class={kind}' if kind else ''}>{lines}</ul>" if items else ""


def command_line(text: str) -> str:
    """Return a command as a block to copy, of which no line ends within the name of an option."""
    code = OPTION.sub(r"<span class=option>\g<0></span>", escape(text))
    return f"<pre tabindex=0><code>{code}</code></pre>"


def details(summary: str, html: str) -> str:
    """Return contents that a reader unfolds.

    Args:
        summary: the visible line, as plain text.
        html: the contents.
    """
    return f"<details><summary>{escape(summary)}</summary>{html}</details>"


def table_html(table: Table) -> str:
    """Return a table with its title and notes; it scrolls within the page if it is wide."""
    head = "".join(
        f"<th scope=col{number_class(column, table)}>{escape(each)}</th>"
        for column, each in enumerate(table.header)
    )
    rows = "".join(f"<tr>{row_cells(row, table)}</tr>" for row in table.rows)
    caption = "<br>".join(escape(line) for line in table.title)
    notes = "".join(paragraph(each, "note") for each in table.notes)
    return (
        f'<div class=scroll tabindex=0 role=region aria-label="{escape(" ".join(table.title))}">'
        f"<table><caption><span>{caption}</span></caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{notes}"
    )


def number_class(column: int, table: Table) -> str:
    """Return the class of the cells in a column of numbers; empty for a column of text."""
    return "" if column < table.text_columns else " class=number"


def row_cells(row: Sequence[str], table: Table) -> str:
    """Return the cells of a row; the first is its heading."""
    first, *others = row
    cells = (
        f"<td{number_class(column, table)}>{escape(cell)}</td>"
        for column, cell in enumerate(others, 1)
    )
    return f"<th scope=row>{escape(first)}</th>{''.join(cells)}"
