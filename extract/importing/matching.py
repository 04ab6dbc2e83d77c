"""Match the rows of lists to those of features: by id where the features have ids, or by order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Int

from clip_cfr.cache.format.layout import ArraySource
from clip_cfr.cache.wording import agree, count_noun
from clip_cfr.extract.datasets.tables.roles import FILENAME
from clip_cfr.extract.datasets.tables.table import Table, is_index
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.sources import ConcatenatedRows, SelectedRows
from clip_cfr.extract.importing.concatenated_tables import concatenate_tables, reorder_rows
from clip_cfr.extract.importing.feature_parts import FeaturePart

MAX_NAMED = 3


@dataclass(frozen=True)
class MatchedRows:
    """Rows of a list with their features.

    Attributes:
        table: the n rows of the list.
        features: features (n, dim) of each row; zeros where it has none.
        parts: (n,) index of the part of the features that a row belongs to.
        origins: (n,) index of the row within this part, -1 where it has no features.
        notes: notes for the user on how they were matched.
    """

    table: Table
    features: ArraySource
    parts: Int[np.ndarray, " n"]
    origins: Int[np.ndarray, " n"]
    notes: tuple[str, ...] = ()


def concatenate_matched(matched: Sequence[MatchedRows]) -> MatchedRows:
    """Return the rows of all entries, one entry after the other; a single entry stays as it is.

    Each of several entries must have one part of features; `parts` becomes the index of the entry.

    Raises:
        ExtractError: the tables do not have the same columns.
    """
    if len(matched) == 1:
        return matched[0]
    return MatchedRows(
        table=concatenate_tables([each.table for each in matched]),
        features=ConcatenatedRows([each.features for each in matched]),
        parts=np.concatenate([each.parts + index for index, each in enumerate(matched)]),
        origins=np.concatenate([each.origins for each in matched]),
        notes=tuple(note for each in matched for note in each.notes),
    )


def match_rows(parts: Sequence[FeaturePart], table: Table, skip_missing: bool) -> MatchedRows:
    """Return the rows of a list with their features.

    Rows are matched by id if every part has ids, the list has exactly one column of names or ids,
    and the two differ. They then have the order of the features, and features that the list does
    not have are left out, with a note. Otherwise the orders are the same.

    Args:
        parts: the features that the list describes.
        table: the list.
        skip_missing: whether rows of the list without features are kept as the last ones, with
            features of zeros, instead of an error.

    Raises:
        ExtractError: matched by order, the numbers of rows differ; by id, none matches, or a row of
            the list has no features and `skip_missing` is false.
    """
    concatenated = match_by_order(parts, table)
    ids, names = read_ids(parts), table.find_candidates(FILENAME)
    if ids is None or len(names) != 1 or ids == table.columns[names[0]]:
        check_same_length(parts, concatenated.features.shape, table)
        return concatenated
    places = find_pairs(parts, ids, table, table.columns[names[0]])
    return reorder_by_id(concatenated, describe_parts(parts), places, skip_missing)


def match_by_order(parts: Sequence[FeaturePart], table: Table) -> MatchedRows:
    """Pair the rows of all parts with those of the list by position.

    The lengths are not compared; see `check_same_length`.
    """
    lengths = [part.rows.shape[0] for part in parts]
    return MatchedRows(
        table=table,
        features=parts[0].rows
        if len(parts) == 1
        else ConcatenatedRows([part.rows for part in parts]),
        parts=np.repeat(np.arange(len(parts)), lengths),
        origins=np.concatenate([np.arange(length) for length in lengths]),
    )


def describe_parts(parts: Sequence[FeaturePart]) -> str:
    """Return the names of the files of features, such as `a.npy + b.npz:features`."""
    return " + ".join(str(part.reference) for part in parts)


def read_ids(parts: Sequence[FeaturePart]) -> tuple[str, ...] | None:
    """Return the ids of all rows of features, one part after the other; None if a part has none."""
    ids: list[str] = []
    for part in parts:
        found = None if part.read_table is None else find_ids(part.read_table())
        if found is None:
            return None
        ids += found
    return tuple(ids)


def find_ids(table: Table) -> tuple[str, ...] | None:
    """Return the values of the first column of names or ids that can tell rows apart, or None.

    Its values are unique but for blank ones, and do not just count the rows from 0 or 1.
    """
    for name in table.find_candidates(FILENAME):
        ids = table.columns[name]
        filled = [each for each in ids if each]
        if filled and len(set(filled)) == len(filled) and not is_index(ids):
            return ids
    return None


def check_same_length(parts: Sequence[FeaturePart], shape: tuple[int, ...], table: Table) -> None:
    """Raise ExtractError if features and a list differ in their number of rows.

    Args:
        parts: the features, for the message.
        shape: (n, dim) of all features together.
        table: the list.
    """
    if shape[0] == len(table):
        return
    remedy = "expected one row for each image, in the same order"
    if shape[1] == len(table):
        remedy = (
            "as many as the features have columns: they look transposed; save features.T, their "
            "transpose"
        )
    counts = "" if len(parts) == 1 else f" ({' + '.join(str(p.rows.shape[0]) for p in parts)})"
    raise ExtractError(
        f"{describe_parts(parts)} has {count_noun(shape[0], 'row')}{counts}, but {table.path} has "
        f"{len(table)}, {remedy}"
    )


def find_pairs(
    parts: Sequence[FeaturePart], ids: Sequence[str], table: Table, listed: Sequence[str]
) -> Int[np.ndarray, " rows"]:
    """Return the index in the list of each row of features, -1 for one that is not listed.

    Ids are compared as they are; if none is equal, by their file names, and then by these without
    ending. An id that is blank, or occurs twice on one side, matches nothing.

    Args:
        parts: the features, for the message.
        ids: id of each row of features.
        table: the list, for the message.
        listed: id of each row of the list.

    Raises:
        ExtractError: no id matches.
    """
    for simplify in (str, last_part, stem):
        places = index_unique(map(simplify, listed))
        keys = index_unique(map(simplify, ids))
        if not places.keys().isdisjoint(keys):
            found = np.full(len(ids), -1)
            for key, index in keys.items():
                found[index] = places.get(key, -1)
            return found
    raise ExtractError(
        f"{describe_parts(parts)} and {table.path} have no id in common: {ids[0]!r} ... and "
        f"{listed[0]!r} ...; give both the same names"
    )


def index_unique(names: Iterable[str]) -> dict[str, int]:
    """Return the position of each name that is not blank and occurs once."""
    places: dict[str, int] = {}
    repeated = {""}
    for index, name in enumerate(names):
        if places.setdefault(name, index) != index:
            repeated.add(name)
    return {name: index for name, index in places.items() if name not in repeated}


def last_part(name: str) -> str:
    r"""Return the file name of a path or a URL, as `b.jpg` of `a/b.jpg`; `\` separates too."""
    return PurePosixPath(name.replace("\\", "/")).name


def stem(name: str) -> str:
    """Return the file name of a path or a URL without its last ending: `a/b.c.jpg` gives `b.c`."""
    return PurePosixPath(name.replace("\\", "/")).stem


def reorder_by_id(
    concatenated: MatchedRows, features: str, places: Int[np.ndarray, " rows"], skip_missing: bool
) -> MatchedRows:
    """Return the listed rows in the order of the features, then those without features.

    Notes say that rows were matched by id, and how many features are not listed and left out.

    Args:
        concatenated: features and list, each in its own order.
        features: name of the features, for messages.
        places: index in the list of each row of features, or -1.
        skip_missing: whether rows of the list without features are kept, instead of an error.

    Raises:
        ExtractError: a row of the list has no features, and `skip_missing` is false.
    """
    table = concatenated.table
    found = np.flatnonzero(places >= 0)
    missing = np.setdiff1d(np.arange(len(table)), places)
    notes = [f"the rows of {table.path} are matched to those of {features} by id"]
    if num_unlisted := len(places) - len(found):
        verb = agree(num_unlisted, "is", "are")
        notes.append(
            f"{num_unlisted:,} of {len(places):,} rows of {features} {verb} not in {table.path} "
            f"and {verb} left out"
        )
    matched = MatchedRows(
        table=reorder_rows(table, np.concatenate([places[found], missing])),
        features=SelectedRows(concatenated.features, found),
        parts=concatenated.parts[found],
        origins=concatenated.origins[found],
        notes=tuple(notes),
    )
    return add_missing(matched, features, len(missing), skip_missing) if len(missing) else matched


def add_missing(
    matched: MatchedRows, features: str, num_missing: int, skip_missing: bool
) -> MatchedRows:
    """Return the rows with features of zeros appended for the last rows of the list, and a note.

    These rows get part 0 and origin -1.

    Args:
        matched: the list, and features of all but its last `num_missing` rows.
        features: name of the features, for messages.
        num_missing: number of rows without features, at least 1.
        skip_missing: whether these rows are kept, instead of an error.

    Raises:
        ExtractError: `skip_missing` is false; names the first ids.
    """
    table = matched.table
    ids = table.columns[table.find_candidates(FILENAME)[0]][-num_missing:]
    named = ", ".join(map(repr, ids[:MAX_NAMED])) + (", ..." if num_missing > MAX_NAMED else "")
    verb = agree(num_missing, "has", "have")
    fault = f"{num_missing:,} of {len(table):,} rows {verb} no features in {features} ({named})"
    if not skip_missing:
        raise ExtractError(
            f"{table.path}: {fault}; complete the features, or keep such rows as not valid with "
            "--on-error skip"
        )
    shape = num_missing, matched.features.shape[1]
    zeros = np.broadcast_to(np.zeros((), matched.features.dtype), shape)
    return replace(
        matched,
        features=ConcatenatedRows([matched.features, zeros]),
        parts=np.concatenate([matched.parts, np.zeros(num_missing, int)]),
        origins=np.concatenate([matched.origins, np.full(num_missing, -1)]),
        notes=(*matched.notes, f"{table.path}: {fault}; kept as not valid"),
    )
