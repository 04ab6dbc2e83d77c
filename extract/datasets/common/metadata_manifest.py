"""The manifest of any metadata file: names or numbers, optional attributes and splits."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int8, Int32

from clip_cfr.extract.datasets.common.image_paths import normalise_paths
from clip_cfr.extract.datasets.common.random_splits import DEFAULT_SEED, draw_stratified_splits
from clip_cfr.extract.datasets.tables.roles import (
    ATTRIBUTE,
    FILENAME,
    LABEL,
    SPLIT,
    SPLIT_CODES,
)
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows

FRACTIONS = (0.6, 0.2, 0.2)


def make_manifest(
    table: Table,
    *,
    dataset: str,
    root: Path,
    class_names: tuple[str, ...] | None = None,
    seed: int | None = None,
) -> Manifest:
    """Build the manifest of a metadata file. The images need not exist.

    Labels and attributes are names, or numbers from 0 without gaps. If there is no column of
    attributes, every row has attribute 0. If there is no column of splits, they are drawn at
    random, stratified by group.

    Args:
        table: metadata file with the columns filename, label[, attribute][, split], or with the
            other names in `metadata_columns`.
        dataset: name of the data set.
        root: folder that the paths of the images are relative to.
        class_names: names of the classes in the order of the labels; by default the names in the
            file in alphabetical order, or its numbers.
        seed: seed of the drawn splits.

    Raises:
        ExtractError: if a column is missing, or a value is not one of those expected.
    """
    paths = normalise_paths(table, table.column(*FILENAME))
    labels, class_names = encode_names(table, LABEL, class_names)
    attributes, attribute_names = read_attributes(table)
    groups = labels * max(1, len(attribute_names)) + attributes
    splits, split_warnings = read_or_draw_splits(table, dataset, groups, seed)
    return Manifest(
        dataset=dataset,
        rows=make_rows(paths, labels, attributes, splits),
        images=FileSource(root, paths),
        class_names=class_names,
        attribute_names=attribute_names,
        class_prompts=tuple((name,) for name in class_names),
        attribute_prompts=make_attribute_prompts(attribute_names),
        warnings=(*check_unused_columns(table), *split_warnings),
    )


def check_unused_columns(table: Table) -> tuple[str, ...]:
    """Return a warning if the file has unused columns, because one may be a misspelt name."""
    used = {table.find_column(*names) for names in (FILENAME, LABEL, ATTRIBUTE, SPLIT)}
    unused = [name for name in table.columns if name not in used]
    if not unused:
        return ()
    return (
        f"{table.path}: unused columns: {', '.join(unused)}; "
        "the columns that are read are filename, label, attribute and split",
    )


def encode_names(
    table: Table, columns: Sequence[str], names: tuple[str, ...] | None = None
) -> tuple[Int32[np.ndarray, " n"], tuple[str, ...]]:
    """Return the integer codes of a column of names or numbers, and the name of each code.

    Args:
        table: the metadata file.
        columns: possible names of the column.
        names: names in the order of their codes. By default those of the column in alphabetical
            order; numbers are their own codes and names.
    """
    values = table.column(*columns)
    if all(value.isdecimal() for value in values):
        names = names or list_numbers(table, columns)
        codes = {str(code): code for code in range(len(names))}
    else:
        names = names or tuple(sorted(set(values) - {""}))
        codes = {name: code for code, name in enumerate(names)}
    return table.encode_column(codes, *columns), names


def list_numbers(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the numbers from 0 to the largest of a column, as names.

    Raises:
        ExtractError: if one of them does not occur in the column.
    """
    found = {int(value) for value in table.column(*columns)}
    missing = next(number for number in range(len(found) + 1) if number not in found)
    if missing != len(found):
        raise ExtractError(
            f"{table.path}: {table.find_column(*columns)} has values up to {max(found)}, but "
            f"{missing} does not occur; number the values from 0 without gaps, or use names"
        )
    return tuple(str(number) for number in range(len(found)))


def read_attributes(table: Table) -> tuple[Int32[np.ndarray, " n"], tuple[str, ...]]:
    """Return the attribute of each row and the attribute names; zeros and () without a column."""
    if table.find_column(*ATTRIBUTE) is None:
        return np.zeros(len(table), np.int32), ()
    return encode_names(table, ATTRIBUTE)


def make_attribute_prompts(names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the names as prompts, or none if they are numbers, which describe no image."""
    if all(name.isdecimal() for name in names):
        return ()
    return tuple((name,) for name in names)


def read_or_draw_splits(
    table: Table, dataset: str, groups: Int32[np.ndarray, " n"], seed: int | None
) -> tuple[Int8[np.ndarray, " n"], tuple[str, ...]]:
    """Return the split code of each row, and a warning if the splits were drawn."""
    if table.find_column(*SPLIT) is not None:
        return table.encode_column(SPLIT_CODES, *SPLIT).astype(np.int8), ()
    seed = DEFAULT_SEED if seed is None else seed
    warning = (
        f"{dataset}: {table.path} has no column split; drew 60 % train, 20 % val and 20 % test "
        f"with seed {seed}, stratified by group"
    )
    return draw_stratified_splits(groups, FRACTIONS, seed), (warning,)
