"""JSON Lines, and JSON files that hold a list of objects."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clip_cfr.extract.datasets.tables.cells import to_text
from clip_cfr.extract.datasets.tables.table import Table, make_table
from clip_cfr.extract.errors import ExtractError

EXPECTED = 'expected an object such as {"filename": "a.jpg", "label": "cat"} in each line'


def looks_like_json(text: str) -> bool:
    """Return whether the first character of text, after white space, is `{` or `[`."""
    return text.lstrip()[:1] in ("{", "[")


def parse_json(path: Path, text: str) -> Table:
    """Return the table of JSON Lines, or of a JSON list of objects.

    Columns are the keys of all objects, in the order of their first occurrence; values become text
    by `to_text`, and a missing key becomes the empty text. Rows are numbered by line, or by the
    position in the list, from 1.

    Args:
        path: the file, for messages and `Table.path`.
        text: its content.

    Raises:
        ExtractError: the text is not valid JSON, an entry is not an object, or there are no values.
    """
    numbered = parse_list(path, text) if text.lstrip().startswith("[") else parse_lines(path, text)
    names = list(dict.fromkeys(name for _, entry in numbered for name in entry))
    if not names:
        raise ExtractError(f"{path} holds no values, {EXPECTED}")
    rows = ((number, [to_text(entry.get(name)) for name in names]) for number, entry in numbered)
    return make_table(path, names, rows)


def parse_lines(path: Path, text: str) -> list[tuple[int, dict[str, Any]]]:
    """Return (line number from 1, object) of each line that is not blank.

    Raises:
        ExtractError: a line is not valid JSON or not an object.
    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [(number, parse_object(path, number, line)) for number, line in lines]


def parse_object(path: Path, number: int, line: str) -> dict[str, Any]:
    """Return the JSON object of one line.

    Args:
        path: the file, for messages.
        number: number of the line, for messages.
        line: the line.

    Raises:
        ExtractError: the line is not valid JSON or not an object.
    """
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ExtractError(
            f"{path}, row {number}: not valid JSON ({error}), {EXPECTED}, a JSON list of such "
            "objects, or a CSV file"
        ) from error
    return require_object(path, number, entry)


def parse_list(path: Path, text: str) -> list[tuple[int, dict[str, Any]]]:
    """Return (number from 1, object) of each entry of a JSON list.

    Raises:
        ExtractError: the text is not valid JSON, or an entry is not an object.
    """
    try:
        entries: Iterable[Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ExtractError(f"{path} is not valid JSON ({error}), {EXPECTED}") from error
    return [
        (number, require_object(path, number, entry)) for number, entry in enumerate(entries, 1)
    ]


def require_object(path: Path, number: int, entry: Any) -> dict[str, Any]:
    """Return the entry unchanged, or raise ExtractError if it is not a JSON object."""
    if isinstance(entry, dict):
        return entry
    raise ExtractError(f"{path}, row {number}: found a JSON {type(entry).__name__}, {EXPECTED}")
