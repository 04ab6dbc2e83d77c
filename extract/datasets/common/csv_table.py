"""Tables as published: columns of text, with the row of the file that each value stands in."""

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from clip_cfr.extract.errors import ExtractError


@dataclass(frozen=True)
class Table:
    """The columns of a file as text.

    `rows[i]` is the row of the file that entry i of every column stands in, as an editor or a
    spreadsheet counts: from 1, the header included.
    """

    path: Path
    columns: dict[str, tuple[str, ...]]
    rows: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, index: int) -> str:
        """Where an entry stands: the file and its row."""
        return f"{self.path}, row {self.rows[index]}"

    def find(self, *names: str) -> str | None:
        """The first of the names that is a column, or None."""
        return next((name for name in names if name in self.columns), None)

    def column(self, *names: str) -> tuple[str, ...]:
        """The first of the named columns that the file has.

        Raises:
            ExtractError: it has none of them.
        """
        name = self.find(*names)
        if name is None:
            raise ExtractError(
                f"{self.path} has no column {' or '.join(names)}; "
                f"its columns are {', '.join(self.columns)}"
            )
        return self.columns[name]

    def coded(self, codes: Mapping[str, int], *names: str) -> Int32[np.ndarray, " n"]:
        """The first of the named columns in numbers, by a table of what it may hold.

        Raises:
            ExtractError: a value is not in the table; names the file, the row and the value.
        """
        values = self.column(*names)
        unknown = next((i for i, value in enumerate(values) if value not in codes), None)
        if unknown is not None:
            known = ", ".join(code or "nothing" for code in codes)
            raise ExtractError(
                f"{self.place(unknown)}: {self.find(*names)} is {values[unknown]!r}, "
                f"expected {f'one of {known}' if known else 'a name or a number'}"
            )
        return np.array([codes[value] for value in values], np.int32)

    def refuse_duplicates(self, what: str, values: Sequence[str]) -> None:
        """Raises ExtractError where a value stands in two rows."""
        if len(set(values)) == len(values):
            return
        first: dict[str, int] = {}
        for index, value in enumerate(values):
            if first.setdefault(value, index) != index:
                raise ExtractError(
                    f"{self.place(index)}: {what} {value!r} is already in "
                    f"row {self.rows[first[value]]}, expected each once"
                )


def read_csv(path: Path) -> Table:
    """The table of a CSV file with a header; blank lines do not count as rows.

    Raises:
        ExtractError: the file cannot be read, has no header or no rows, or a row has another
            number of fields than the header.
    """
    lines = csv_lines(path)
    _, header = next(lines, (0, []))
    if not header:
        raise ExtractError(f"{path} is empty, expected a header and rows")
    return make_table(path, header, lines)


def csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file that are not blank, each with its number, the header first."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        yield from ((reader.line_num, fields) for fields in reader if fields)
    except csv.Error as error:
        raise ExtractError(f"{path}, row {reader.line_num}: no CSV ({error})") from error


def make_table(path: Path, header: list[str], lines: Iterable[tuple[int, list[str]]]) -> Table:
    """The table of a header and numbered rows of fields.

    Raises:
        ExtractError: a name stands twice in the header, there are no rows, or a row has another
            number of fields than the header.
    """
    names = [name.strip() for name in header]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ExtractError(f"{path} has the column {twice!r} twice, expected each once")
    rows, columns = [], [[] for _ in names]
    for row, fields in lines:
        if len(fields) != len(names):
            raise ExtractError(
                f"{path}, row {row}: {len(fields)} fields, expected {len(names)} as in the header"
            )
        rows.append(row)
        for column, field in zip(columns, fields, strict=True):
            # CelebA has eight million fields of two values.
            column.append(sys.intern(field.strip()))
    if not rows:
        raise ExtractError(f"{path} has a header and no rows")
    return Table(path, dict(zip(names, map(tuple, columns), strict=True)), tuple(rows))


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises:
        ExtractError: there is no such file, or it is no UTF-8 text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ExtractError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ExtractError(f"{path} is no UTF-8 text ({error.reason} at {error.start})") from error
    if "\0" in text:
        raise ExtractError(f"{path} is no text: it holds NUL bytes")
    return text
