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
    """Return whether text begins as JSON does and the header of a CSV file does not."""
    return text.lstrip()[:1] in ("{", "[")


def parse_json(path: Path, text: str) -> Table:
    """Return the table of JSON Lines, or of a JSON list of objects.

    Raises:
        ExtractError: the text is not valid, or an entry is not an object.
    """
    numbered = parse_list(path, text) if text.lstrip().startswith("[") else parse_lines(path, text)
    names = list(dict.fromkeys(name for _, entry in numbered for name in entry))
    if not names:
        raise ExtractError(f"{path} holds no values, {EXPECTED}")
    rows = ((number, [to_text(entry.get(name)) for name in names]) for number, entry in numbered)
    return make_table(path, names, rows)


def parse_lines(path: Path, text: str) -> list[tuple[int, dict[str, Any]]]:
    """Return the number and the object of each line that is not blank."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [(number, parse_object(path, number, line)) for number, line in lines]


def parse_object(path: Path, number: int, line: str) -> dict[str, Any]:
    """Return the object of one line."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ExtractError(
            f"{path}, row {number}: not valid JSON ({error}), {EXPECTED}, a JSON list of such "
            "objects, or a CSV file"
        ) from error
    return require_object(path, number, entry)


def parse_list(path: Path, text: str) -> list[tuple[int, dict[str, Any]]]:
    """Return the number, counted from 1, and the object of each entry of a JSON list."""
    try:
        entries: Iterable[Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ExtractError(f"{path} is not valid JSON ({error}), {EXPECTED}") from error
    return [
        (number, require_object(path, number, entry)) for number, entry in enumerate(entries, 1)
    ]


def require_object(path: Path, number: int, entry: Any) -> dict[str, Any]:
    """Return the entry. Raise ExtractError if it is not a JSON object."""
    if isinstance(entry, dict):
        return entry
    raise ExtractError(f"{path}, row {number}: found a JSON {type(entry).__name__}, {EXPECTED}")
