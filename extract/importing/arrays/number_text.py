"""Reader of matrices in text: CSV, TSV and others, with or without a header and other columns."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import numpy as np
from jaxtyping import Float32

from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.datasets.tables.text import iconv_command
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.contents import Contents
from clip_cfr.extract.importing.arrays.number_columns import (
    describe_other_columns,
    select_feature_columns,
)
from clip_cfr.extract.importing.arrays.sources import ConcatenatedRows

NUMBERS_AT_A_TIME = 1 << 20
SEPARATORS = "\t;,"
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
# Spellings of a missing number, in lower case. It becomes NaN.
MISSING = frozenset(("", "na", "n/a", "null", "none", "nil", "-", "<na>"))
SHORTENED = "..."

Row = tuple[int, list[str]]


@dataclass(frozen=True)
class Columns:
    """The columns of a file of numbers.

    Attributes:
        names: name of each column.
        features: indices of the columns that are the features, in order.
        is_vector: whether the only feature column holds a whole vector such as `[0.1, 0.2]`.
        notes: notes for the user on the choice.
    """

    names: tuple[str, ...]
    features: tuple[int, ...]
    is_vector: bool
    notes: Sequence[str] = ()

    @property
    def others(self) -> tuple[int, ...]:
        """Indices of the columns that are not features."""
        return tuple(index for index in range(len(self.names)) if index not in self.features)


def read_numbers(path: Path, file: TextIO) -> Contents:
    """Read the matrix of a text file into memory, and its other columns as a table.

    The matrix is float32 with the empty name. A missing number becomes NaN, and one beyond the
    range of float32 infinity.

    Args:
        path: the file, for messages.
        file: the open text, at its beginning.

    Raises:
        ExtractError: there are no rows or no columns of numbers; or a row has another number of
            fields, or no number where one is expected; names the first such row.
    """
    rows = split_rows(path, file)
    first, second = next(rows, None), next(rows, None)
    if first is None:
        raise ExtractError(f"{path} has no rows, expected a matrix of numbers")
    has_header = second is not None and is_header(first[1], second[1])
    if has_header and second is not None:
        columns, start = choose_columns(path, first[1], second[1]), [second]
    else:
        columns = choose_columns(path, None, first[1])
        start = [first] if second is None else [first, second]
    blocks, numbers, texts = [], [], []
    size = max(1, NUMBERS_AT_A_TIME // max(1, len(columns.names)))
    remaining = chain(start, rows)
    while block := list(islice(remaining, size)):
        check_widths(path, block, len(columns.names))
        blocks.append(parse_block(path, block, columns))
        numbers.extend(number for number, _ in block)
        texts.extend([cells[index].strip() for index in columns.others] for _, cells in block)
    check_same_width(path, blocks)
    table = make_other_columns(path, columns, numbers, texts)
    read_table = None if table is None else lambda: table
    return Contents({"": ConcatenatedRows(blocks)}, read_table, columns.notes)


def split_rows(path: Path, file: TextIO) -> Iterator[Row]:
    """Yield the number of each row in the file, from 1, and its cells; blank rows are skipped.

    So are comments (`#`) and a line `sep=;` at the top. The separator is that of this line, or the
    first of tab, semicolon and comma in the first row, or white space.

    Raises:
        ExtractError: the text is not valid CSV.
    """
    line = file.readline()
    number, separator = 1, None
    while line.startswith("#") or not line.strip() or SEPARATOR_LINE.fullmatch(line):
        if not line:
            return
        separator = match[1] if (match := SEPARATOR_LINE.fullmatch(line)) else separator
        line, number = file.readline(), number + 1
    separator = separator or next((each for each in SEPARATORS if each in line), None)
    lines = chain([line], file)
    if separator is None:
        yield from (
            (index, line.split()) for index, line in enumerate(lines, number) if line.strip()
        )
        return
    # A vector such as "[0.1, 0.2, ...]" of many numbers is one field.
    csv.field_size_limit(1 << 30)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield number - 1 + reader.line_num, cells
    except csv.Error as error:
        raise ExtractError(
            f"{path}, row {number - 1 + reader.line_num}: not valid CSV ({error})"
        ) from error


def is_header(first: Sequence[str], second: Sequence[str]) -> bool:
    """Return whether the first row names the columns.

    It does if it has no number where the second row has one, if it has no vector and the second row
    has one, or if it counts the columns as pandas names them by default: 0, 1, 2, ...

    Args:
        first: the cells of the first row.
        second: the cells of the second row.
    """
    pairs = [pair for pair in zip(first, second, strict=False) if is_number(pair[1])]
    counted = [name for name, _ in pairs if name.strip()]
    if len(counted) > 1 and counted == [str(index) for index in range(len(counted))]:
        return True
    is_vector = any(map(is_vector_cell, second)) and not any(map(is_vector_cell, first))
    return is_vector or (bool(pairs) and not any(is_number(name) for name, _ in pairs))


def choose_columns(path: Path, header: Sequence[str] | None, first: Sequence[str]) -> Columns:
    """Return which columns are the features, judging by the header and the first row.

    A single column of vectors is the features; otherwise they are columns of numbers: with a header
    those of `select_feature_columns`, without one all.

    Args:
        path: the file, for messages.
        header: the cells of the header, of which that of row names may be missing; None without
            one.
        first: the cells of the first row of values.

    Raises:
        ExtractError: there is no column of numbers, or more than one of vectors.
    """
    if header is not None and len(header) == len(first) - 1:
        header = ["", *header]  # As R writes row names.
    found = make_unique([name.strip() for name in header or ()]) or name_columns(first)
    vectors = [index for index, cell in enumerate(first) if is_vector_cell(cell)]
    if len(vectors) > 1:
        names = ", ".join(found[index] for index in vectors)
        raise ExtractError(
            f"{path} has {len(vectors)} columns of vectors: {names}; keep one of them"
        )
    if vectors:
        return Columns(tuple(found), tuple(vectors), is_vector=True)
    numeric = {
        name: index for index, name in enumerate(found[: len(first)]) if is_number(first[index])
    }
    features = select_feature_columns([*numeric]) if header is not None else [*numeric]
    if not features:
        raise ExtractError(
            f"{path} is text without a column of numbers for features (a row of it is "
            f"{', '.join(first)[:60]!r}), expected a matrix, one row for each image"
        )
    return Columns(
        names=tuple(found),
        features=tuple(numeric[name] for name in features),
        is_vector=False,
        notes=describe_other_columns(path, [*numeric], features),
    )


def make_unique(names: Sequence[str]) -> list[str]:
    """Return names of columns, of which repeated ones get their position: `a`, `b`, `a (3)`."""
    return [
        f"{name} ({index + 1})" if name in names[:index] else name
        for index, name in enumerate(names)
    ]


def name_columns(first: Sequence[str]) -> list[str]:
    """Return names for the columns of a file without a header: `column 1`, `column 2`, ...

    If exactly one column holds text, it is named `filename`.

    Args:
        first: the cells of the first row.
    """
    texts = [i for i, cell in enumerate(first) if not is_number(cell) and not is_vector_cell(cell)]
    names = [f"column {index + 1}" for index in range(len(first))]
    if len(texts) == 1:
        names[texts[0]] = "filename"
    return names


def is_number(cell: str) -> bool:
    """Return whether a cell holds a number, with a decimal point or comma, or NaN or infinity."""
    try:
        float(cell.strip().replace(",", "."))
    except ValueError:
        return False
    return True


def is_vector_cell(cell: str) -> bool:
    """Return whether a cell begins with `[`, as pandas and NumPy print a vector."""
    return cell.lstrip().startswith("[")


def check_widths(path: Path, block: Sequence[Row], width: int) -> None:
    """Raise ExtractError for the first row that does not have `width` cells."""
    for number, cells in block:
        if len(cells) != width:
            raise ExtractError(
                f"{path}, row {number}: found {count_noun(len(cells), 'field')}, expected {width} "
                "as before"
            )


def check_same_width(path: Path, blocks: Sequence[np.ndarray]) -> None:
    """Raise ExtractError if the blocks (rows, columns) differ in their numbers of columns."""
    widths = sorted({block.shape[1] for block in blocks})
    if len(widths) > 1:
        raise ExtractError(f"{path} has vectors of {widths} numbers, expected one length")


def parse_block(
    path: Path, block: Sequence[Row], columns: Columns
) -> Float32[np.ndarray, "rows columns"]:
    """Return the features of some rows; missing numbers become NaN, too large ones infinity.

    Raises:
        ExtractError: a cell holds no number, or vectors in cells have different lengths.
    """
    if columns.is_vector:
        [index] = columns.features
        rows = [(number, split_vector(path, number, cells[index])) for number, cells in block]
        check_widths(path, rows, len(rows[0][1]))
    elif columns.features == tuple(range(len(columns.names))):
        rows = block
    else:
        rows = [(number, [cells[i] for i in columns.features]) for number, cells in block]
    # Numbers beyond the range of float32 become infinity.
    with np.errstate(over="ignore"):
        try:
            return np.array([cells for _, cells in rows], np.float32)
        except ValueError:
            names = [columns.names[index] for index in columns.features]
            return np.array(
                [parse_cells(f"{path}, row {n}", names, c) for n, c in rows], np.float32
            )


def split_vector(path: Path, number: int, cell: str) -> list[str]:
    """Return the numbers in a cell such as `[0.1, 0.2]` or `[0.1 0.2]`, as text.

    Args:
        path: the file, for messages.
        number: row of the file, for messages.
        cell: the cell.

    Raises:
        ExtractError: the vector is shortened by `...`.
    """
    if SHORTENED in cell:
        raise ExtractError(
            f"{path}, row {number}: the vector was shortened when it was printed "
            f"({cell[:40]!r}); save the array with numpy.save instead"
        )
    return cell.strip().strip("[]").replace(",", " ").split()


def parse_cells(where: str, names: Sequence[str], cells: Sequence[str]) -> list[float]:
    """Return the numbers of a row.

    Args:
        where: file and row, for messages.
        names: name of the column of each cell; a single one for all numbers of a vector.
        cells: the numbers as text.

    Raises:
        ExtractError: a cell holds no number.
    """
    names = names if len(names) == len(cells) else names[:1] * len(cells)
    return [parse_cell(f"{where}, {name}", cell) for name, cell in zip(names, cells, strict=True)]


def parse_cell(where: str, cell: str) -> float:
    """Return the number in a cell; a comma may be the decimal sign.

    An empty cell, `NA`, `null`, `-` and other spellings in `MISSING` give NaN.

    Raises:
        ExtractError: the cell holds anything else; the message begins with `where`.
    """
    text = cell.strip()
    try:
        return float("nan") if text.lower() in MISSING else float(text.replace(",", "."))
    except ValueError as error:
        raise ExtractError(f"{where}: found {text[:40]!r}, expected a number") from error


def make_other_columns(
    path: Path, columns: Columns, numbers: Sequence[int], texts: Sequence[Sequence[str]]
) -> Table | None:
    """Return the table of the columns that are not features, or None without any.

    A column with an empty name is named `column N`, counted from 1.

    Args:
        path: the file.
        columns: all columns.
        numbers: number of each row in the file.
        texts: the cells of the other columns of each row.

    Raises:
        ExtractError: a cell is not UTF-8.
    """
    names = [columns.names[index] or f"column {index + 1}" for index in columns.others]
    if not names:
        return None
    for number, row in zip(numbers, texts, strict=True):
        if not all(map(is_unicode, row)):
            raise ExtractError(
                f"{path}, row {number}: the text is not UTF-8; save the file as UTF-8, or convert "
                f"it: {iconv_command(path)}"
            )
    values = map(tuple, zip(*texts, strict=True))
    return Table(path, dict(zip(names, values, strict=True)), tuple(numbers))


def is_unicode(text: str) -> bool:
    """Return whether a text has no surrogate that stands for a byte that could not be decoded."""
    return text.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in text)
