"""Your own images: a folder, and a CSV file that says what each of them shows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int8, Int32

from clip_cfr.extract.datasets.common.csv_table import Table, read_csv
from clip_cfr.extract.datasets.common.image_paths import find_file, relative_paths, require_images
from clip_cfr.extract.datasets.common.metadata_columns import (
    ATTRIBUTE,
    FILENAME,
    LABEL,
    SPLIT,
    SPLIT_CODES,
)
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.common.random_splits import SEED, draw_stratified
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows

OPTIONS = ("metadata", "seed")
EXPECTED = "your images, and --metadata a CSV file with filename,label[,attribute][,split]"
FRACTIONS = (0.6, 0.2, 0.2)
NAMELESS = (
    "folder: the classes have numbers for names, which say nothing to CLIP; "
    "give --class-names or --prompts"
)


def load(root: Path, options: DatasetOptions) -> Manifest:
    """The images of a folder that a CSV file lists.

    Raises:
        ExtractError: the list or an image is missing, or the list holds what it should not.
    """
    table = read_csv(find_file(root, ["metadata.csv"], EXPECTED, options.metadata))
    manifest = listed_manifest("folder", table, root, options.class_names, options.seed)
    require_images(root, table, manifest.rows.ids)
    if options.prompts is None and all(name.isdecimal() for name in manifest.class_names):
        return replace(manifest, warnings=(*manifest.warnings, NAMELESS))
    return manifest


def listed_manifest(
    dataset: str,
    table: Table,
    root: Path,
    class_names: tuple[str, ...] | None,
    seed: int | None,
) -> Manifest:
    """The manifest of a list; whether the images exist is not asked.

    Labels and attributes are names, or numbers that count from 0. Without a column for splits
    they are drawn, stratified by group; without one for attributes all rows have the same.

    Raises:
        ExtractError: a column is missing, or a value is none of those expected.
    """
    paths = relative_paths(table, table.column(*FILENAME))
    labels, class_names = numbered(table, LABEL, class_names)
    attributes, attribute_names = known_attributes(table)
    groups = labels * max(1, len(attribute_names)) + attributes
    splits, warnings = known_or_drawn_splits(dataset, table, groups, seed)
    return Manifest(
        dataset=dataset,
        rows=make_rows(paths, labels, attributes, splits),
        images=FileSource(root, paths),
        class_names=class_names,
        attribute_names=attribute_names,
        class_prompts=tuple((name,) for name in class_names),
        attribute_prompts=attribute_prompts(attribute_names),
        warnings=(*ignored_columns(table), *warnings),
    )


def ignored_columns(table: Table) -> tuple[str, ...]:
    """A warning of the columns that nothing is read from; one of them may be misspelt."""
    used = {table.find(*names) for names in (FILENAME, LABEL, ATTRIBUTE, SPLIT)}
    ignored = [name for name in table.columns if name not in used]
    if not ignored:
        return ()
    return (
        f"{table.path}: nothing is read from {', '.join(ignored)}; the columns that are read are "
        "filename, label, attribute and split",
    )


def numbered(
    table: Table, column: Sequence[str], names: tuple[str, ...] | None = None
) -> tuple[Int32[np.ndarray, " n"], tuple[str, ...]]:
    """A column of names or numbers as numbers, and the name of each number.

    `column` are the names that the column may go by. Without `names`, names stand in alphabetical
    order, and numbers are their own names.
    """
    values = table.column(*column)
    if all(value.isdecimal() for value in values):
        names = names or counted(table, column)
        return table.coded({str(code): code for code in range(len(names))}, *column), names
    names = names or tuple(sorted(set(values) - {""}))
    return table.coded({name: code for code, name in enumerate(names)}, *column), names


def counted(table: Table, column: Sequence[str]) -> tuple[str, ...]:
    """The numbers 0 to the largest of a column, as names.

    Raises:
        ExtractError: one of them does not occur.
    """
    found = {int(value) for value in table.column(*column)}
    missing = next(number for number in range(len(found) + 1) if number not in found)
    if missing != len(found):
        raise ExtractError(
            f"{table.path}: {table.find(*column)} goes up to {max(found)}, "
            f"but no row has {missing}; count from 0 without a gap, or use names"
        )
    return tuple(str(number) for number in range(len(found)))


def known_attributes(table: Table) -> tuple[Int32[np.ndarray, " n"], tuple[str, ...]]:
    """The attribute of each row and the names of them all; zeros and no names without a column."""
    if table.find(*ATTRIBUTE) is None:
        return np.zeros(len(table), np.int32), ()
    return numbered(table, ATTRIBUTE)


def attribute_prompts(names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The names as prompts; none where they say nothing about an image."""
    if all(name.isdecimal() for name in names):
        return ()
    return tuple((name,) for name in names)


def known_or_drawn_splits(
    dataset: str, table: Table, groups: Int32[np.ndarray, " n"], seed: int | None
) -> tuple[Int8[np.ndarray, " n"], tuple[str, ...]]:
    """The split of each row, and a warning where they had to be drawn."""
    if table.find(*SPLIT) is not None:
        return table.coded(SPLIT_CODES, *SPLIT).astype(np.int8), ()
    seed = SEED if seed is None else seed
    warning = (
        f"{dataset}: {table.path} has no column split, so 60 % train, 20 % val and 20 % test "
        f"were drawn with seed {seed}, stratified by group"
    )
    return draw_stratified(groups, FRACTIONS, seed), (warning,)
