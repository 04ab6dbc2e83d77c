"""Search for the list of a folder of images: in the root, or one folder below."""

import posixpath
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clip_cfr.extract.datasets.common.values import parse_split_word
from clip_cfr.extract.datasets.tables.read_table import assign_columns, read_any
from clip_cfr.extract.datasets.tables.roles import FILENAME, LABEL, SPLIT
from clip_cfr.extract.datasets.tables.table import Table, concatenate
from clip_cfr.extract.errors import ExtractError

# The name that Hugging Face and many projects give to the list.
USUAL_NAME = "metadata"
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".parquet", ".feather", ".xlsx")
COMPRESSED = ("", ".gz", ".bz2", ".xz", ".zip")


@dataclass(frozen=True)
class FoundList:
    """The list of a folder.

    Attributes:
        table: the list.
        warnings: which file was taken as the list, if its name does not say that it is one; and
            other notes for the user.
    """

    table: Table
    warnings: tuple[str, ...] = ()


def read_given_list(root: Path, path: Path, columns: Mapping[str, str] | None) -> Table:
    """Read the list that the user names.

    Args:
        root: root folder of the data set.
        path: file, relative to the working directory or else to the root.
        columns: column by role, as for `read_table`.

    Raises:
        ExtractError: there is no such file, or it is not a valid list.
    """
    if not path.exists() and (root / path).is_file():
        path = root / path
    if not path.exists():
        found = ", ".join(each.name for each in list_files(root)) or "no list"
        is_same = (root / path).absolute() == path.absolute()
        other = "" if is_same else f", nor is there {root / path}"
        raise ExtractError(
            f"{path} cannot be read (No such file or directory){other}; {root} has {found}: check "
            "--metadata"
        )
    return assign_columns(read_any(path), columns or {})


def find_list(root: Path, columns: Mapping[str, str] | None) -> FoundList | None:
    """Return the list of a root, or None if there is none.

    It is called `metadata` and is in the root or, with paths relative to it, in several folders
    directly below. Otherwise it is the only file in the root that has columns of image names and
    labels, or one such file for each split.

    Args:
        root: an existing folder.
        columns: column by role, as for `read_table`.

    Raises:
        ExtractError: there are several lists, or a list called `metadata` is not valid.
    """
    usual = [path for path in list_files(root) if is_usual(path)]
    below = [path for folder in list_folders(root) for path in list_files(folder)]
    if not usual:
        usual = [path for path in below if is_usual(path)]
    if usual:
        return FoundList(read_lists(root, usual, columns))
    return find_list_among(root, list_files(root), columns)


def find_list_below(root: Path, columns: Mapping[str, str] | None) -> FoundList | None:
    """Return the only list in the folders directly below a root, or None if there is none.

    Its name does not matter; see `find_list_among`.

    Args:
        root: an existing folder.
        columns: column by role, as for `read_table`.

    Raises:
        ExtractError: several files are lists and are not one for each split.
    """
    below = [path for folder in list_folders(root) for path in list_files(folder)]
    return find_list_among(root, below, columns)


def find_list_among(
    root: Path, paths: Sequence[Path], columns: Mapping[str, str] | None
) -> FoundList | None:
    """Return the only one of some files that is a list, with a warning that names it.

    A list can be read and has columns of image names and labels; other files are skipped without a
    message. Several lists that are called like different splits become one (see
    `concatenate_lists`).

    Args:
        root: root folder of the data set; messages give paths relative to it.
        paths: files below the root.
        columns: column by role, as for `read_table`.

    Returns:
        The list with its warning; None if no file is a list.

    Raises:
        ExtractError: several files are lists and are not one for each split.
    """
    lists = [table for path in paths if (table := try_to_read(path, columns)) is not None]
    if not lists:
        return None
    if len(lists) > 1 and not are_splits([table.path.name for table in lists]):
        names = ", ".join(str(table.path.relative_to(root)) for table in lists)
        raise ExtractError(
            f"{root} holds {len(lists)} lists of images: {names}; choose one with --metadata "
            f"{shlex.quote(str(lists[0].path.relative_to(root)))}"
        )
    names = " and ".join(str(table.path.relative_to(root)) for table in lists)
    warning = f"folder: {root} has no {USUAL_NAME}.csv; using {names}"
    return FoundList(concatenate_lists(root, lists), (warning,))


def list_files(folder: Path) -> list[Path]:
    """Return the paths of the files in a folder that end like a list, sorted.

    Hidden files are left out; see `list_ending`.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and list_ending(path) and path.is_file()
    )


def list_folders(folder: Path) -> list[Path]:
    """Return the paths of the folders directly in a folder, sorted; hidden ones excluded."""
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir()
    )


def list_ending(path: Path) -> str | None:
    """Return the ending of a list: `.csv` for `list.csv` and `list.csv.gz`; else None."""
    name = path.name.lower()
    endings = (end for end in ENDINGS for packed in COMPRESSED if name.endswith(end + packed))
    return next(endings, None)


def is_usual(path: Path) -> bool:
    """Return whether a file is called `metadata`, in any case and with any ending."""
    return path.name.lower().partition(".")[0] == USUAL_NAME


def try_to_read(path: Path, columns: Mapping[str, str] | None) -> Table | None:
    """Return the table of a file, or None if it is not a list.

    A list can be read and has columns that may be image names and labels.
    """
    try:
        table = assign_columns(read_any(path), columns or {})
    except ExtractError:
        return None
    is_list = table.find_candidates(FILENAME) and table.find_candidates(LABEL)
    return table if is_list else None


def read_lists(root: Path, paths: Sequence[Path], columns: Mapping[str, str] | None) -> Table:
    """Read the files called `metadata` of a root and return them as one table.

    A single list in the root is returned as it is; others are joined by `concatenate_lists`.

    Raises:
        ExtractError: a list is not valid, or several lists are in one folder.
    """
    folders = [path.parent for path in paths]
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice is not None:
        names = [path.name for path in paths if path.parent == twice]
        raise ExtractError(
            f"{twice} holds {len(names)} lists of images: {', '.join(names)}; choose one with "
            f"--metadata {shlex.quote(names[0])}"
        )
    tables = [assign_columns(read_any(path), columns or {}) for path in paths]
    return tables[0] if folders == [root] else concatenate_lists(root, tables)


def are_splits(names: Iterable[str]) -> bool:
    """Return whether each name, up to its first dot, is a word for another split: `train.csv`."""
    codes = [parse_split_word(name.partition(".")[0]) for name in names]
    return None not in codes and len(set(codes)) == len(codes)


def concatenate_lists(root: Path, tables: Sequence[Table]) -> Table:
    """Return lists as one table whose image paths are relative to the root.

    If no list has a column of splits, and the files or else their folders are called like different
    splits, a column `split` with these names is added. A single list is returned unchanged.
    """
    if len(tables) == 1:
        return tables[0]
    for names in ([t.path.name for t in tables], [t.path.parent.name for t in tables]):
        if are_splits(names) and not any(table.find_candidates(SPLIT) for table in tables):
            splits = [name.partition(".")[0] for name in names]
            tables = [
                replace(
                    table,
                    columns={**table.columns, SPLIT.name: (split,) * len(table)},
                )
                for table, split in zip(tables, splits, strict=True)
            ]
            break
    return concatenate([prefix_paths(root, table) for table in tables])


def prefix_paths(root: Path, table: Table) -> Table:
    """Return a list with image paths relative to the root.

    The path of the list's folder is put in front of all of them, if the file of the first entry
    exists relative to that folder. Otherwise the list is returned unchanged.
    """
    name = table.find_column(FILENAME)
    folder = table.path.parent.relative_to(root).as_posix()
    if name is None or folder == "." or not (table.path.parent / table.columns[name][0]).is_file():
        return table
    paths = tuple(posixpath.join(folder, value) for value in table.columns[name])
    return replace(table, columns={**table.columns, name: paths})
