"""CSV, TSV and other text with a separator between the fields of a row."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from clip_cfr.extract.datasets.common.values import parse_split_word
from clip_cfr.extract.datasets.tables.table import Table, make_table, placeholder
from clip_cfr.extract.errors import ExtractError

SEPARATORS = (",", ";", "\t", "|")
WHITE_SPACE = None
# The line with which Excel announces the separator.
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
IMAGE_NAME = re.compile(
    r"\.(jpe?g|jfif|png|gif|bmp|webp|tiff?|p[bgp]m|jp2|avif|hei[cf]|dcm|npy)\Z", re.IGNORECASE
)
SAMPLED_LINES = 20

Row = tuple[int, list[str]]


def parse_delimited(path: Path, text: str) -> Table:
    """Return the table of delimited text whose first row is the header; blank lines are skipped.

    `find_separator` chooses the separator. If the first row holds the name of an image, it is not a
    header: the columns are then called `column 1`, `column 2` ..., and `guess_roles` assigns
    their roles.

    Args:
        path: the file, for messages and `Table.path`.
        text: its content.

    Raises:
        ExtractError: there are no rows, the quotes are not valid CSV, or a row does not fit the
            header.
    """
    separator, skipped = find_separator(text)
    rows = split_rows(path, text, separator, skipped)
    number, header = next(rows, (0, []))
    if not header:
        raise ExtractError(f"{path} is empty, expected a header and rows")
    if not lacks_header(header):
        return make_table(path, header, rows)
    names = [placeholder(index) for index in range(len(header))]
    table = make_table(path, names, prepend((number, header), rows))
    return replace(table, assigned=guess_roles(table))


def find_separator(text: str) -> tuple[str | None, int]:
    """Return the separator of the fields, and the number of lines before the header (0 or 1).

    A first line `sep=;` names the separator and precedes the header. Otherwise it is the one of
    SEPARATORS that divides the first non-blank line into the most fields. If none divides it and
    the first lines have an equal number of words, it is None for white space. A comma if the text
    is blank.
    """
    lines = text.splitlines() if len(text) < 1 << 16 else text[: 1 << 16].splitlines()
    match = SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    if match:
        return match[1], 1
    filled = [line for line in lines if line.strip()][:SAMPLED_LINES]
    if not filled:
        return ",", 0
    num_fields = {each: len(split_line(filled[0], each)) for each in SEPARATORS}
    best = max(SEPARATORS, key=num_fields.__getitem__)
    if num_fields[best] == 1 and is_white_space_separated(filled):
        return WHITE_SPACE, 0
    return best, 0


def split_line(line: str, separator: str) -> list[str]:
    """Return the fields of one line of CSV without the quotes; [line] if it cannot be parsed."""
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [line])
    except csv.Error:
        return [line]


def is_white_space_separated(lines: Sequence[str]) -> bool:
    """Return whether all lines have the same number of words, and more than one."""
    counts = {len(line.split()) for line in lines}
    return len(counts) == 1 and counts != {1}


def split_rows(path: Path, text: str, separator: str | None, skipped: int) -> Iterator[Row]:
    """Yield (line number, fields) of each row that is not blank, the header first.

    Line numbers count from 1 and include skipped lines; a row with line breaks in quotes has the
    number of its last line.

    Args:
        path: the file, for messages.
        text: its content.
        separator: separator of the fields; None for white space, with which quotes have no meaning.
        skipped: number of lines to skip at the start; ignored for white space.

    Raises:
        ExtractError: the quotes are not valid CSV.
    """
    if separator is WHITE_SPACE:
        lines = enumerate(text.splitlines(), 1)
        yield from ((number, line.split()) for number, line in lines if line.strip())
        return
    stream = io.StringIO(text, newline="")
    for _ in range(skipped):
        stream.readline()
    reader = csv.reader(stream, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        yield from ((skipped + reader.line_num, fields) for fields in reader if fields)
    except csv.Error as error:
        raise ExtractError(
            f"{path}, row {skipped + reader.line_num}: not valid CSV ({error}); check the quotes"
        ) from error


def lacks_header(header: Sequence[str]) -> bool:
    """Return whether the first row is not a header: a field ends like an image, such as `a.jpg`."""
    return any(IMAGE_NAME.search(field.strip()) for field in header)


def prepend(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    """Yield the first row, then the others."""
    yield first
    yield from rows


def guess_roles(table: Table) -> dict[str, str]:
    """Return the column of each role, recognized by content, for a table without a header.

    The column `filename` is the only one whose first value ends like an image. The column `split`
    is the only other one that `states_splits`. If a single column is left then, it is `label`.

    Returns:
        For example `{"filename": "column 1", "label": "column 2"}`; empty if not exactly one column
        holds image names.
    """
    images = [
        name for name, values in table.columns.items() if IMAGE_NAME.search(values[0].strip())
    ]
    if len(images) != 1:
        return {}
    others = [name for name in table.columns if name not in images]
    splits = [name for name in others if states_splits(table.columns[name])]
    split = {"split": splits[0]} if len(splits) == 1 else {}
    others = [name for name in others if name not in split.values()]
    label = {"label": others[0]} if len(others) == 1 else {}
    return {"filename": images[0], **label, **split}


def states_splits(values: Sequence[str]) -> bool:
    """Return whether all values are words for splits, such as `train`, of at least two splits."""
    codes = {parse_split_word(value) for value in set(values)}
    return None not in codes and len(codes) > 1
