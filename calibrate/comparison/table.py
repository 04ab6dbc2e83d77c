"""A table as text, for the terminal, Markdown, LaTeX, CSV and the report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        title: lines above it.
        header: titles of the columns.
        rows: the rows, each with one cell for each column.
        text_columns: number of leading columns that contain text; the others contain numbers.
        notes: lines below it, which explain marks.
    """

    title: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    notes: tuple[str, ...] = ()
