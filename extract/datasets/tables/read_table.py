"""Reads a list of images, whatever its form; the content decides, not the ending."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from clip_cfr.extract.datasets.tables.delimited import parse_delimited
from clip_cfr.extract.datasets.tables.json_rows import looks_like_json, parse_json
from clip_cfr.extract.datasets.tables.parquet import FEATHER_MAGIC, PARQUET_MAGIC, read_parquet
from clip_cfr.extract.datasets.tables.roles import FILENAME, ROLES, simplify
from clip_cfr.extract.datasets.tables.table import Table, is_index_column, is_placeholder
from clip_cfr.extract.datasets.tables.text import ZIP_MAGIC, read_bytes, read_text
from clip_cfr.extract.datasets.tables.workbook import is_workbook, read_workbook_table
from clip_cfr.extract.errors import ExtractError


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> Table:
    """Read a list of any supported form and assign roles to its columns.

    The forms are CSV, TSV, other delimited text, JSON Lines, a JSON list, Parquet, Feather and
    .xlsx. The content decides the form, not the ending of the name. Text may be compressed with
    gzip, bz2, xz or zip.

    Args:
        path: the file.
        columns: name of the column of each role that the user determines; a role with an empty name
            has no column.

    Raises:
        ExtractError: the file cannot be read, has another form or no rows, or a role
            or column of `columns` does not exist.
    """
    return assign_columns(read_any(path), columns or {})


def read_any(path: Path) -> Table:
    """Read a list as `read_table` does, without roles that the user determines.

    Raises:
        ExtractError: the file cannot be read, its form is unknown, or it has no rows.
    """
    start = read_bytes(path, 8)
    if start.startswith((PARQUET_MAGIC, FEATHER_MAGIC)):
        return read_parquet(path)
    if start.startswith(ZIP_MAGIC) and is_workbook(path):
        return read_workbook_table(path)
    text = read_text(path)
    return parse_json(path, text) if looks_like_json(text) else parse_delimited(path, text)


def assign_columns(table: Table, columns: Mapping[str, str]) -> Table:
    """Return the table with the roles that the user determines added to `Table.assigned`.

    If no column may be the image names, a nameless one is, provided that it is the only one that
    does not count the rows.

    Args:
        table: the list.
        columns: column by role, spelled as `find_named` allows; an empty name says that the role
            has no column.

    Raises:
        ExtractError: a role or column does not exist.
    """
    assigned = {role: find_named(table, role, name) for role, name in columns.items()}
    assigned = {**table.assigned, **assigned}
    if FILENAME.name not in assigned and not table.find_candidates(FILENAME):
        nameless = [name for name in table.columns if is_placeholder(name)]
        files = [name for name in nameless if not is_index_column(table, name)]
        if len(files) == 1:
            assigned[FILENAME.name] = files[0]
    return replace(table, assigned=assigned)


def find_named(table: Table, role: str, name: str, option: str = "") -> str:
    """Return the exact name of the column that the user means by a name.

    A column of this very name comes first, then the only one that is equal without case, blanks and
    punctuation. An empty name is returned as it is.

    Args:
        table: the list.
        role: name of the role that the column is to have.
        name: name of the column; empty for none.
        option: option that has the name as its value, with a blank after it, for messages; by
            default `--columns ROLE=`.

    Raises:
        ExtractError: the role does not exist, or not exactly one column has this name.
    """
    if role not in ROLES:
        raise ExtractError(f"--columns: {role!r} is not one of {', '.join(ROLES)}")
    if not name or name in table.columns:
        return name
    found = [each for each in table.columns if simplify(each) == simplify(name)]
    if len(found) != 1:
        raise ExtractError(
            f"{option or f'--columns {role}='}{name}: {table.path} has no such column, found the "
            f"columns {', '.join(table.columns)}"
        )
    return found[0]
