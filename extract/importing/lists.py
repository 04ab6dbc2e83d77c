"""The lists of an import, matched to its features; splits from the names of the files."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from clip_cfr.cache.format.schema import SPLIT_NAMES
from clip_cfr.extract.datasets.common.metadata_manifest import find_split_column
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.common.values import parse_split_word
from clip_cfr.extract.datasets.tables.read_table import assign_columns, read_table
from clip_cfr.extract.datasets.tables.roles import LABEL, SPLIT
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.importing.arrays.reference import ArrayReference
from clip_cfr.extract.importing.concatenated_tables import concatenate_tables
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from clip_cfr.extract.importing.feature_parts import FeaturePart
from clip_cfr.extract.importing.matching import (
    MatchedRows,
    check_same_length,
    concatenate_matched,
    match_by_order,
    match_rows,
)


def match_lists(
    files: EmbeddingFiles,
    parts: Sequence[FeaturePart],
    options: DatasetOptions,
    skip_missing: bool,
) -> MatchedRows:
    """Read the lists and match their rows to those of the features.

    Without lists, the tables of the features' own files are the lists. With as many lists as
    features, each belongs to the features in its place. Otherwise all lists together belong to all
    features together. If the lists have no column of splits, the splits are those in the names of
    the files.

    Args:
        files: names of the files.
        parts: the opened features.
        options: `columns` is used.
        skip_missing: whether rows of a list without features are kept, instead of an error.

    Raises:
        OptionError: the numbers of files do not go together, or a list is needed.
        ExtractError: a list cannot be read, or does not match the features.
    """
    tables = [read_table(path, options.columns) for path in files.metadata]
    if not tables:
        matched = [match_own_table(part, options) for part in parts]
    elif len(tables) == len(parts):
        pairs = zip(parts, tables, strict=True)
        matched = [match_rows([part], table, skip_missing) for part, table in pairs]
    elif len(tables) == 1 or len(parts) == 1:
        matched = [match_rows(parts, concatenate_tables(tables), skip_missing)]
    else:
        raise OptionError(
            f"--features is given {len(parts)} times and --metadata {len(tables)} times, expected "
            "one list for all features, or one for each of them"
        )
    return add_splits_by_name(concatenate_matched(matched), files, parts)


def match_own_table(part: FeaturePart, options: DatasetOptions) -> MatchedRows:
    """Pair the rows of features with those of the table that they bring along.

    Raises:
        OptionError: there is no table, or it has no labels.
        ExtractError: the table cannot be read, lacks a column of `options.columns`, or does not
            have one row for each row of the features.
    """
    table = read_own_table(part, options)
    check_same_length([part], part.rows.shape, table)
    return match_by_order([part], table)


def read_own_table(part: FeaturePart, options: DatasetOptions) -> Table:
    """Return the table that features bring along, with the roles of `options.columns` assigned.

    Raises:
        OptionError: there is none, or it has no labels.
        ExtractError: the table cannot be read, or does not have a column of `options.columns`.
    """
    table = None if part.read_table is None else part.read_table()
    if table is not None:
        table = assign_columns(table, options.columns or {})
        if table.find_candidates(LABEL):
            return table
    found = f" beside the columns {', '.join(table.columns)}" if table is not None else ""
    raise OptionError(
        f"{part.reference} has features{found}, but no labels; give a list of its rows with "
        "--metadata, with the columns filename and label"
        + ("" if table is None else ", or name the column of labels with --columns label=COLUMN")
    )


def add_splits_by_name(
    matched: MatchedRows, files: EmbeddingFiles, parts: Sequence[FeaturePart]
) -> MatchedRows:
    """Return the rows with a column of splits that is derived from the names of their files.

    The names of the lists come before those of the features; a note says which file is which split.
    The rows are returned unchanged if they have a column of splits, or if no names tell the splits.
    """
    table = matched.table
    if SPLIT.name in table.assigned or find_split_column(table):
        return matched
    for references, indices in list_files_of_rows(matched, files, parts):
        codes = find_splits(references)
        if codes is None:
            continue
        values = tuple(SPLIT_NAMES[codes[index]] for index in indices.tolist())
        named = ", ".join(
            f"{reference} is {SPLIT_NAMES[code]}"
            for reference, code in zip(references, codes, strict=True)
        )
        note = f"the splits are those of the names of the files: {named}"
        return replace(
            matched,
            table=replace(table, columns={**table.columns, SPLIT.name: values}),
            notes=(note, *matched.notes),
        )
    return matched


def list_files_of_rows(
    matched: MatchedRows, files: EmbeddingFiles, parts: Sequence[FeaturePart]
) -> Iterator[tuple[list[ArrayReference], Int[np.ndarray, " n"]]]:
    """Yield files with the index (n,) of the file of each row, for up to two sets of files.

    The first are the lists, the second the features; a set of fewer than two files is left out.
    """
    if len(files.metadata) > 1:
        index_of = {path: index for index, path in enumerate(files.metadata)}
        indices = np.array([index_of[path] for path in matched.table.sources])
        yield [ArrayReference(path) for path in files.metadata], indices
    if len(parts) > 1:
        yield [part.reference for part in parts], matched.parts


def find_splits(references: Sequence[ArrayReference]) -> list[int] | None:
    """Return the index in `SPLIT_NAMES` of the split that each array is named after, or None.

    The arrays' names are tried first (`F.npz:train`), then those of the files up to the first dot
    (`val_features.npy`), then those of their folders (`test/features.npy`). The first kind counts
    in which every name has the word of exactly one split and not all splits are the same.
    """
    names = (
        [reference.key or "" for reference in references],
        [reference.path.name.partition(".")[0] for reference in references],
        [reference.path.absolute().parent.name for reference in references],
    )
    for each in names:
        codes = [find_split(name) for name in each]
        if None not in codes and len(set(codes)) > 1:
            return codes
    return None


def find_split(name: str) -> int | None:
    """Return the index in `SPLIT_NAMES` of the only split of which a name has a word, or None.

    Words are runs of letters: `val_features` gives val. Words of two splits give None.
    """
    words = re.findall(r"[^\W\d_]+", name)
    codes = {code for word in words if (code := parse_split_word(word)) is not None}
    return codes.pop() if len(codes) == 1 else None
