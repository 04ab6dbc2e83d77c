"""Tables for the terminal, in Markdown, in LaTeX, and as tidy CSV."""

import csv
from collections.abc import Iterator
from io import StringIO

from clip_cfr.calibrate.comparison.notes import notes
from clip_cfr.calibrate.comparison.result import Result
from clip_cfr.calibrate.comparison.table import Table
from clip_cfr.calibrate.comparison.tables import make_tables

PADDING = 2  # columns of the terminal between two cells
LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
}


def render(result: Result, form: str = "table"):
    """Return a result as a renderable of rich (`table`) or as text (`markdown`, `latex`, `csv`).

    The first three have accuracies in per cent; only `table` has notes below. `csv` has the rows of
    `Result.to_frame`, with accuracies in [0, 1].
    """
    if form == "csv":
        return tidy_csv(result)
    tables = make_tables(result)
    if form == "table":
        return for_terminal(tables, notes(result))
    return "\n\n".join([{"markdown": markdown, "latex": latex}[form](each) for each in tables])


def for_terminal(tables: list[Table], lines: list[str]):
    """Return tables, and lines of text below them, as one renderable of rich."""
    from rich.console import Group
    from rich.text import Text

    return Group(*map(FittingTable, tables), Text("\n".join(lines)))


class FittingTable:
    """A renderable of rich that splits a table by columns if the terminal is too narrow.

    Each part repeats the text columns.
    """

    def __init__(self, table: Table):
        self.table = table

    def __rich_console__(self, console, options) -> Iterator:
        from rich.text import Text

        yield Text("\n".join(self.table.title))
        for columns in split_columns(self.table, options.max_width):
            yield draw(self.table, columns)
        if self.table.notes:
            yield Text("\n".join((*self.table.notes, "")))


def split_columns(table: Table, width: int) -> list[list[int]]:
    """Return the indices of the number columns of each part of a table that fits a width.

    Args:
        table: the table.
        width: width of the terminal in characters.

    Returns:
        One list for each part, in the order of the columns. A part has at least one column, even if
        it does not fit.
    """
    widths = [
        max(len(row[index]) for row in (table.header, *table.rows)) + PADDING
        for index in range(len(table.header))
    ]
    room = width - PADDING - sum(widths[: table.text_columns])
    parts: list[list[int]] = [[]]
    for index in range(table.text_columns, len(widths)):
        if parts[-1] and sum(widths[each] for each in [*parts[-1], index]) > room:
            parts.append([])
        parts[-1].append(index)
    return parts


def draw(table: Table, columns: list[int]):
    """Return the text columns and the number columns of these indices as a table of rich.

    Text columns fold instead of being cut, so that every row keeps its name.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=SIMPLE_HEAD)
    shown = [*range(table.text_columns), *columns]
    for index in shown:
        is_text = index < table.text_columns
        justify = "left" if is_text else "right"
        drawn.add_column(
            Text(table.header[index]), justify=justify, no_wrap=not is_text, overflow="fold"
        )
    for row in table.rows:
        # As Text, because names may contain brackets, which rich would read as markup.
        drawn.add_row(*(Text(row[index]) for index in shown))
    return drawn


def markdown(table: Table) -> str:
    """Return a table in GitHub's Markdown, with its title in one line above; `|` is escaped.

    Its notes follow as paragraphs.
    """
    rule = [" --- "] * table.text_columns + [" ---: "] * (len(table.header) - table.text_columns)
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in (table.header, *table.rows)]
    head, *body = (f"| {' | '.join(row)} |" for row in escaped)
    notes = [line for note in table.notes for line in ("", note.replace("*", r"\*"))]
    return "\n".join(["; ".join(table.title), "", head, f"|{'|'.join(rule)}|", *body, *notes])


def latex(table: Table) -> str:
    """Return a table as a LaTeX tabular with booktabs rules, its title and notes as comments."""
    columns = "l" * table.text_columns + "r" * (len(table.header) - table.text_columns)
    head, *body = (
        " & ".join(escape_latex(cell) for cell in row) + r" \\"
        for row in (table.header, *table.rows)
    )
    rows = [head, r"\midrule", *body, r"\bottomrule"]
    comments = [f"% {line}" for line in table.title]
    begin = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    notes = [f"% {line}" for line in table.notes]
    return "\n".join([*comments, *begin, *rows, r"\end{tabular}", *notes])


def escape_latex(text: str) -> str:
    """Return text with LaTeX's special characters escaped."""
    return "".join(LATEX.get(character, character) for character in text)


def tidy_csv(result: Result) -> str:
    """Return the rows of `Result.to_frame` as CSV with a header, without a final line feed."""
    text = StringIO()
    rows = list(result.tidy_rows())
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")
