"""The manifest of any list of images: names or numbers, optional attributes, splits, subjects."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int8, Int32, Int64

from clip_cfr.cache.format.schema import SPLIT_NAMES
from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.datasets.common.class_names import find_by_spelling, is_wordless, spell_out
from clip_cfr.extract.datasets.common.encode import (
    Coded,
    encode_names,
    encode_splits,
    find_renamings,
    note_merged_splits,
)
from clip_cfr.extract.datasets.common.image_paths import locate_images
from clip_cfr.extract.datasets.common.left_out import drop_ignored_splits, drop_missing_values
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.common.random_splits import (
    DEFAULT_SEED,
    DRAWN_SPLITS,
    FRACTIONS,
    draw_splits,
)
from clip_cfr.extract.datasets.common.repeated_rows import drop_repeated_rows
from clip_cfr.extract.datasets.common.values import (
    clean_text,
    is_missing,
    parse_number,
    parse_split,
)
from clip_cfr.extract.datasets.tables.read_table import find_named
from clip_cfr.extract.datasets.tables.roles import (
    ATTRIBUTE,
    FILENAME,
    LABEL,
    ROLES,
    SPLIT,
    SUBJECT,
    simplify,
)
from clip_cfr.extract.datasets.tables.table import Table, is_index_column
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows

# Options of a data set that is read from a list by `make_manifest`.
LIST_OPTIONS = ("columns", "drop_missing", "ignore_splits", "split_by", "seed")
# Names of a split column that are taken whatever its values are.
PLAIN_SPLIT_NAMES = frozenset(("split", "splits", "partition"))
PLAIN_GROUP_NAMES = frozenset(("group", "groups"))


@dataclass(frozen=True)
class ListedManifest:
    """The manifest of a list, and the entries of the list that are its rows.

    Attributes:
        manifest: a row for each entry that is not left out, in the order of the list.
        entries: index of the entry of each row, ascending; indices count all entries of the list.
        num_entries: number of entries of the list, with those that are left out.
    """

    manifest: Manifest
    entries: Int64[np.ndarray, " n"]
    num_entries: int


def make_manifest(
    table: Table,
    *,
    dataset: str,
    root: Path | None = None,
    options: DatasetOptions | None = None,
) -> ListedManifest:
    """Build the manifest of a list of images.

    Labels and attributes are names, whole numbers, or yes and no. If there is no column of
    attributes, every row has attribute 0. If there is no column of splits, they are drawn at
    random, stratified by group or by class, or by subject. Entries of ignored splits, entries with
    missing values (with `drop_missing`) and repetitions of an image are left out; the manifest's
    warnings say so.

    Args:
        table: list with the columns filename, label[, attribute][, split][, subject], or with the
            other names in `tables.roles`.
        dataset: name of the data set.
        root: folder of the images, which must exist; None for rows whose names are ids of any kind.
        options: `columns`, `drop_missing`, `ignore_splits`, `split_by`, `seed`, `class_names` and
            `skip_missing` are used. If `class_names` maps old names to new ones, the manifest keeps
            the old ones, for `override_class_names` to replace.

    Raises:
        ExtractError: a column is missing, a value is not one of those expected, an image is
            missing, or two entries of an image contradict each other.
        OptionError: an option does not fit the list.
    """
    options = options or DatasetOptions()
    table, num_entries = settle_columns(table, root, options), len(table)
    entries, warnings = np.arange(len(table)), list(warn_of_unused_columns(table))
    for drop in (drop_ignored_splits, drop_missing_values):
        kept, notes = drop(table, options)
        table, entries, warnings = table.select(kept), entries[kept], [*warnings, *notes]
    ids, notes = read_ids(table, root, options)
    warnings += notes
    given = None if isinstance(options.class_names, Mapping) else options.class_names
    labels = encode_names(table, LABEL, given)
    attributes = encode_attributes(table, labels)
    splits = encode_splits(table) if table.find_column(SPLIT) else None
    warnings += () if splits is None else note_merged_splits(table)
    subjects = encode_subjects(table)
    warnings += [*labels.notes, *attributes.notes]
    kept, notes = drop_repeated_rows(table, ids, (labels.codes, attributes.codes, splits))
    warnings += notes
    columns = [labels.codes, attributes.codes, splits, subjects]
    label, attribute, split, subject = (None if each is None else each[kept] for each in columns)
    is_drawn = split is None
    if is_drawn:
        groups = label * max(1, len(attributes.names)) + attribute
        split, note = draw_splits_with_note(table, dataset, (label, groups, subject), options)
        warnings.append(note)
    ids = tuple(ids[index] for index in kept)
    manifest = Manifest(
        dataset=dataset,
        rows=make_rows(ids, label, attribute, split, subject),
        images=FileSource(root or table.path.parent, ids),
        class_names=labels.names,
        attribute_names=attributes.names,
        class_prompts=tuple((spell_out(name),) for name in labels.names),
        attribute_prompts=make_attribute_prompts(attributes.names),
        warnings=tuple(warnings),
        drawn_splits=DRAWN_SPLITS if is_drawn else (),
    )
    return ListedManifest(manifest, entries[kept], num_entries)


def settle_columns(table: Table, root: Path | None, options: DatasetOptions) -> Table:
    """Return the table with columns, or none, assigned to attributes, splits and subjects.

    A column of attributes or subjects without any value does not count, nor does a possible column
    of splits without a known split (see `find_split_column`). `options.split_by` is the column of
    subjects. Of several columns of image names or of labels one is assigned if
    `choose_filename_column` or `choose_label_column` decides.

    Args:
        table: the list.
        root: folder of the images; None if there is none.
        options: `split_by` and `class_names` are used.

    Raises:
        ExtractError: `split_by` is not a column, or several columns may have one role.
    """
    assigned = dict(table.assigned)
    if options.split_by is not None:
        assigned[SUBJECT.name] = find_named(table, SUBJECT.name, options.split_by, "--split-by ")
    table = replace(table, assigned=assigned)
    if root is not None:
        assigned |= choose_filename_column(table, root)
    for role in (ATTRIBUTE, SUBJECT):
        if role.name not in assigned:
            name = replace(table, assigned=assigned).find_column(role)
            has_values = name is not None and not all(map(is_missing, set(table.columns[name])))
            assigned[role.name] = name if has_values else ""
    if SPLIT.name not in assigned:
        assigned[SPLIT.name] = find_split_column(table)
    if LABEL.name not in assigned:
        assigned |= choose_label_column(table, options.class_names)
    return replace(table, assigned=assigned)


def choose_label_column(
    table: Table, class_names: Sequence[str] | Mapping[str, str] | None
) -> dict[str, str]:
    """Return `{"label": COLUMN}` if numbers and names of the classes are two columns, else `{}`.

    The column of numbers is chosen, because they determine the order of the classes. The column of
    names is, if `class_names` is an order that has all of its values.
    """
    name = table.find_column(LABEL)
    others = find_renamings(table, LABEL, name)
    if not others:
        return {}
    texts = {each: set(map(clean_text, table.columns[each])) for each in (name, *others)}
    numbers = [
        each for each in texts if all(parse_number(text) is not None for text in texts[each])
    ]
    words = [each for each in texts if each not in numbers]
    if not numbers or not words:
        return {}
    is_order = class_names is not None and not isinstance(class_names, Mapping)
    if is_order and all(
        find_by_spelling(text, class_names) is not None for text in texts[words[0]]
    ):
        return {LABEL.name: words[0]}
    return {LABEL.name: numbers[0]}


def choose_filename_column(table: Table, root: Path) -> dict[str, str]:
    """Return `{"filename": COLUMN}` to decide between several columns of image names, else `{}`.

    It is the only one of them whose first value is an existing file below `root`.
    """
    candidates = table.find_candidates(FILENAME)
    if len(candidates) < 2:
        return {}
    existing = [
        name for name in candidates if (root / table.columns[name][0].replace("\\", "/")).is_file()
    ]
    return {FILENAME.name: existing[0]} if len(existing) == 1 else {}


def find_split_column(table: Table) -> str:
    """Return the name of the column of splits, or an empty string.

    A column counts if it has any value, and either is called `split`, `splits` or `partition`, or
    has at least one value that `parse_split` knows.

    Raises:
        ExtractError: several columns may be it.
    """
    likely = [
        name
        for name in table.find_candidates(SPLIT)
        if not all(map(is_missing, set(table.columns[name])))
        and (
            simplify(name) in PLAIN_SPLIT_NAMES
            or any(parse_split(clean_text(value)) is not None for value in set(table.columns[name]))
        )
    ]
    if len(likely) > 1:
        return table.find_column(SPLIT) or ""
    return likely[0] if likely else ""


def warn_of_unused_columns(table: Table) -> tuple[str, ...]:
    """Return one warning that names the columns without a role, one of which may be misspelt.

    Columns that only count the entries, and names beside numbers of classes, are not reported.
    Empty if there are no others.
    """
    used = {table.find_column(role) for role in ROLES.values()}
    used |= set(find_renamings(table, LABEL, table.find_column(LABEL)))
    unused = [
        name for name in table.columns if name not in used and not is_index_column(table, name)
    ]
    if not unused:
        return ()
    return (
        f"{table.path}: unused columns: {', '.join(unused)}; "
        "the columns that are read are filename, label, attribute and split; name others with "
        "--columns",
    )


def read_ids(
    table: Table, root: Path | None, options: DatasetOptions
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the id of each entry, and warnings.

    With a root, ids are paths of images relative to it, as `locate_images` finds them. Without one
    they are the values of the column of image names, or else `row N`.

    Raises:
        ExtractError: an image is missing and `options.skip_missing` is not set.
    """
    if root is not None:
        found = locate_images(
            root, table, table.column(FILENAME), skip_missing=options.skip_missing
        )
        return found.paths, found.warnings
    if table.find_column(FILENAME) is None:
        note = f"{table.path} has no column filename; the ids are its row numbers"
        return tuple(f"row {number}" for number in table.row_numbers), (note,)
    return table.column(FILENAME), ()


def encode_attributes(table: Table, labels: Coded) -> Coded:
    """Return the attribute of each entry; zeros and no names if there is no such column.

    A column `group` that numbers the groups as label * number of attributes + attribute, as group
    DRO does, is reduced to the attribute, with a note.

    Args:
        table: the list.
        labels: the encoded labels, to recognize such numbers.

    Raises:
        ExtractError: a value is a number with a fraction.
    """
    name = table.find_column(ATTRIBUTE)
    if name is None:
        return Coded(np.zeros(len(table), np.int32), ())
    coded = encode_names(table, ATTRIBUTE)
    num_classes, num_groups = len(labels.names), len(coded.names)
    if simplify(name) not in PLAIN_GROUP_NAMES or num_groups % num_classes or num_classes < 2:
        return coded
    num_attributes = num_groups // num_classes
    if num_attributes < 2 or (coded.codes // num_attributes != labels.codes).any():
        return coded
    note = (
        f"{table.path}: the column {name} numbers the groups of label and attribute; its remainder "
        f"by {num_attributes} is taken as the attribute"
    )
    names = tuple(map(str, range(num_attributes)))
    return Coded(coded.codes % num_attributes, names, (*coded.notes, note))


def encode_subjects(table: Table) -> Int32[np.ndarray, " n"] | None:
    """Return a number from 0 for the subject of each entry, in the order of the sorted texts.

    None if the list has no column of subjects.
    """
    if table.find_column(SUBJECT) is None:
        return None
    _, codes = np.unique(np.array(table.column(SUBJECT), object), return_inverse=True)
    return codes.astype(np.int32)


def make_attribute_prompts(names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return one prompt entry for each attribute value: its name as words (see `spell_out`).

    Empty if one of the names does not describe an image (see `is_wordless`).
    """
    if any(map(is_wordless, names)):
        return ()
    return tuple((spell_out(name),) for name in names)


def draw_splits_with_note(
    table: Table,
    dataset: str,
    columns: Sequence[Int32[np.ndarray, " n"] | None],
    options: DatasetOptions,
) -> tuple[Int8[np.ndarray, " n"], str]:
    """Draw the split of each row (60 % train, 20 % val, 20 % test), and return it with a warning.

    The warning gives the numbers of rows, the seed and how they were drawn (see `draw_splits`).

    Args:
        table: the list, for the warning.
        dataset: name of the data set.
        columns: labels, groups and subjects (or None) of the rows. Rows of a subject share a split.
        options: `seed` is used; by default DEFAULT_SEED.

    Raises:
        OptionError: there are fewer subjects than splits.
    """
    labels, groups, subjects = columns
    num_subjects = len(labels) if subjects is None else len(np.unique(subjects))
    if subjects is not None and num_subjects < len(SPLIT_NAMES):
        raise OptionError(
            f"{table.path}: the column {table.find_column(SUBJECT)} has "
            f"{count_noun(num_subjects, 'value')}, "
            f"expected at least {len(SPLIT_NAMES)}, because splits do not share them; add a column "
            "split, or name another one with --split-by"
        )
    seed = DEFAULT_SEED if options.seed is None else options.seed
    splits, how = draw_splits(labels, groups, FRACTIONS, seed, subjects)
    if subjects is not None:
        how += f" ({table.find_column(SUBJECT)})"
    counts = Counter(splits.tolist())
    shares = ", ".join(
        f"{count_noun(counts[code], 'row')} as {name}" for code, name in enumerate(SPLIT_NAMES)
    )
    return splits, (
        f"{dataset}: {table.path} has no column split; drew {shares} (60/20/20 %) with seed "
        f"{seed}, {how}"
    )
