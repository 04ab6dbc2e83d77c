"""CSV files as tables of text columns that remember the row of the file of each value."""

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
    """The columns of a file, as text.

    Attributes:
        path: the file.
        columns: values of each column by its name, without surrounding white space.
        row_numbers: row of the file of each entry, as an editor or spreadsheet shows it: counted
            from 1, including the header.
    """

    path: Path
    columns: dict[str, tuple[str, ...]]
    row_numbers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.row_numbers)

    def location(self, index: int) -> str:
        """Return the file and row of an entry, for messages."""
        return f"{self.path}, row {self.row_numbers[index]}"

    def find_column(self, *names: str) -> str | None:
        """Return the first of the names that is a column, or None."""
        return next((name for name in names if name in self.columns), None)

    def column(self, *names: str) -> tuple[str, ...]:
        """Return the values of the first of the names that is a column.

        Raises:
            ExtractError: if none of the names is a column.
        """
        name = self.find_column(*names)
        if name is None:
            raise ExtractError(
                f"{self.path} has no column {' or '.join(names)}, found the columns "
                f"{', '.join(self.columns)}; rename or add the column"
            )
        return self.columns[name]

    def encode_column(self, codes: Mapping[str, int], *names: str) -> Int32[np.ndarray, " n"]:
        """Return the integer codes of the values of the first of the names that is a column.

        Raises:
            ExtractError: if none of the names is a column, or a value has no code.
        """
        values = self.column(*names)
        unknown = next((i for i, value in enumerate(values) if value not in codes), None)
        if unknown is not None:
            known = ", ".join(value or "nothing" for value in codes)
            raise ExtractError(
                f"{self.location(unknown)}: {self.find_column(*names)} is {values[unknown]!r}, "
                f"expected {f'one of {known}' if known else 'a name or a number'}"
            )
        return np.array([codes[value] for value in values], np.int32)

    def require_unique(self, kind: str, values: Sequence[str]) -> None:
        """Raise ExtractError if a value occurs in two entries.

        Args:
            kind: what the values are, for the message.
            values: one for each entry.
        """
        if len(set(values)) == len(values):
            return
        first: dict[str, int] = {}
        for index, value in enumerate(values):
            if first.setdefault(value, index) != index:
                raise ExtractError(
                    f"{self.location(index)}: the {kind} {value!r} is already listed in row "
                    f"{self.row_numbers[first[value]]}; remove one of the two rows"
                )


def read_csv(path: Path) -> Table:
    """Read a CSV file with a header. Blank lines are skipped.

    Raises:
        ExtractError: if the file cannot be read, has no header or no rows, or a row and the header
            differ in their number of fields.
    """
    rows = read_csv_rows(path)
    _, header = next(rows, (0, []))
    if not header:
        raise ExtractError(f"{path} is empty, expected a header and rows")
    return make_table(path, header, rows)


def read_csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each row that is not blank, including the header."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        yield from ((reader.line_num, fields) for fields in reader if fields)
    except csv.Error as error:
        raise ExtractError(f"{path}, row {reader.line_num}: not valid CSV ({error})") from error


def make_table(
    path: Path, header: Sequence[str], rows: Iterable[tuple[int, Sequence[str]]]
) -> Table:
    """Build a table from a header and numbered rows of fields.

    Raises:
        ExtractError: if the header contains a name twice, there are no rows, or a row and the
            header differ in their number of fields.
    """
    names = [name.strip() for name in header]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise ExtractError(f"{path} has two columns {duplicate!r}, expected unique names")
    row_numbers, columns = [], [[] for _ in names]
    for row_number, fields in rows:
        if len(fields) != len(names):
            raise ExtractError(
                f"{path}, row {row_number}: found {len(fields)} fields, expected {len(names)} "
                "as in the header"
            )
        row_numbers.append(row_number)
        for column, field in zip(columns, fields, strict=True):
            # Interning saves memory: CelebA has eight million fields but only two values.
            column.append(sys.intern(field.strip()))
    if not row_numbers:
        raise ExtractError(f"{path} has a header but no rows, expected a row for each image")
    return Table(path, dict(zip(names, map(tuple, columns), strict=True)), tuple(row_numbers))


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, without a byte order mark.

    Raises:
        ExtractError: if the file cannot be read or is not UTF-8 text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ExtractError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise ExtractError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    if "\0" in text:
        raise ExtractError(f"{path} contains NUL bytes, expected UTF-8 text")
    return text
