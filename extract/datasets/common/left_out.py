"""Rows of a list that are left out: those of ignored splits, and those with missing values."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64

from clip_cfr.cache.wording import agree, count_noun
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.common.values import clean_text, is_missing, parse_split
from clip_cfr.extract.datasets.tables.roles import ATTRIBUTE, FILENAME, LABEL, SPLIT, SUBJECT, Role
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError, OptionError

SHOWN_ROWS = 10

Kept = tuple[Int64[np.ndarray, " kept"], tuple[str, ...]]


def drop_ignored_splits(table: Table, options: DatasetOptions) -> Kept:
    """Return the ascending indices of the entries that are in no ignored split, and a warning.

    All indices and no warning if `options.ignore_splits` is not set. Values match as in
    `is_ignored`: `val` also ignores `Validation`.

    Args:
        table: the list.
        options: `ignore_splits` is used.

    Raises:
        OptionError: there is no column of splits, an ignored value does not occur in it, or no
            entry is left.
        ExtractError: several columns may be that of the splits.
    """
    if not options.ignore_splits:
        return np.arange(len(table)), ()
    name = table.find_column(SPLIT)
    if name is None:
        raise OptionError(f"--ignore-splits: {table.path} has no column split")
    values = table.columns[name]
    counts = Counter(values)
    ignored = {value for value in counts if is_ignored(value, options.ignore_splits)}
    unknown = [
        each
        for each in options.ignore_splits
        if not any(is_ignored(value, [each]) for value in counts)
    ]
    if unknown or ignored == set(counts):
        raise OptionError(
            f"--ignore-splits {','.join(options.ignore_splits)}: {table.path} has the splits "
            f"{', '.join(counts)}, expected some of them"
        )
    kept = np.array([i for i, value in enumerate(values) if value not in ignored], np.int64)
    left_out = ", ".join(
        f"{value} ({count_noun(n, 'row')})" for value, n in counts.items() if value in ignored
    )
    return kept, (f"{table.path}: left out the splits {left_out}",)


def is_ignored(value: str, ignored: Sequence[str]) -> bool:
    """Return whether a value of the column of splits is one of those to ignore.

    Values are equal without regard to case, or if both stand for one split, such as `val` and
    `Validation` or `1`.
    """
    text = clean_text(value).casefold()
    code = parse_split(text)
    return any(
        text == each.strip().casefold() or (code is not None and code == parse_split(each.strip()))
        for each in ignored
    )


def drop_missing_values(table: Table, options: DatasetOptions) -> Kept:
    """Return the ascending indices of the entries without missing values, and a warning.

    All indices and no warning if no value is missing.

    The columns of all roles are checked. Names that the user gives to classes are not missing
    values, even `none`.

    Args:
        table: the list.
        options: `drop_missing` and `class_names` are used.

    Raises:
        ExtractError: a value is missing and `drop_missing` is not set, no entry is left, or several
            columns may have a role.
    """
    missing = {
        role.name: find_missing_values(table, role, options.class_names)
        for role in (FILENAME, LABEL, ATTRIBUTE, SPLIT, SUBJECT)
    }
    rows = np.unique(np.concatenate([np.array(each, np.int64) for each in missing.values()]))
    if not len(rows):
        return np.arange(len(table)), ()
    described = "; ".join(
        describe_missing_values(table, role, missing[role.name])
        for role in (FILENAME, LABEL, ATTRIBUTE, SPLIT, SUBJECT)
        if missing[role.name]
    )
    if not options.drop_missing:
        raise ExtractError(
            f"{table.path}: {described}; fill them in, or leave {len(rows):,} of "
            f"{len(table):,} rows out with --drop-missing"
        )
    if len(rows) == len(table):
        raise ExtractError(f"{table.path}: {described}; no row is left without missing values")
    kept = np.delete(np.arange(len(table)), rows)
    return kept, (f"{table.path}: left out {len(rows):,} of {len(table):,} rows: {described}",)


def find_missing_values(
    table: Table, role: Role, class_names: Sequence[str] | Mapping[str, str] | None
) -> list[int]:
    """Return the ascending indices of the entries whose value is missing in the column of a role.

    Empty if no column has the role.

    Args:
        table: the list.
        role: role of the column.
        class_names: names of classes that count as values, for the role `label` only.

    Raises:
        ExtractError: several columns may have the role.
    """
    name = table.find_column(role)
    if name is None:
        return []
    named = {each.casefold() for each in class_names or ()} if role is LABEL else set()
    values = table.columns[name]
    missing = {
        value
        for value in set(values)
        if is_missing(value) and (value.casefold() not in named or not value)
    }
    return [index for index, value in enumerate(values) if value in missing] if missing else []


def describe_missing_values(table: Table, role: Role, indices: Sequence[int]) -> str:
    """Return a clause that says which values of a column are missing.

    It gives their number, the name of the column, up to three of their spellings, and the first
    `SHOWN_ROWS` row numbers of the file.

    Args:
        table: the list.
        role: role of the column, which the table has.
        indices: indices of the entries whose value is missing, at least one.
    """
    name = table.find_column(role)
    spelled = dict.fromkeys(table.columns[name][index] for index in indices)
    values = ", ".join(repr(value) if value else "empty" for value in list(spelled)[:3])
    rows = ", ".join(str(table.row_numbers[index]) for index in indices[:SHOWN_ROWS])
    more = ", ..." if len(indices) > SHOWN_ROWS else ""
    verb = agree(len(indices), "is", "are")
    return (
        f"{count_noun(len(indices), 'value')} {verb} missing in the column {name} ({values}) in "
        f"{agree(len(indices), 'row', 'rows')} {rows}{more}"
    )
