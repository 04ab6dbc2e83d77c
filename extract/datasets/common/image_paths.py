"""Image paths of a list: relative to the root, and those of existing files."""

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from clip_cfr.extract.datasets.common.folders import Folders, is_image_name
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError

# The start of a URL, also in a shortened path, which has only one of the two slashes.
URL = re.compile(r"(https?|ftp|s3|gs|hf):/+(?=[^/])", re.IGNORECASE)
# Number of paths on which a rule that moves them to another folder is tried first.
SAMPLED_PATHS = 20
# Folders directly below the root that a list may be relative to.
MAX_FOLDERS = 200
# Maximum number of files to search for the name of a missing one.
MAX_SEARCHED = 20_000


@dataclass(frozen=True)
class ImagePaths:
    """Where the images of a list are.

    Attributes:
        paths: path of each entry, relative to the root.
        warnings: notes for the user on how they were found.
    """

    paths: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def locate_images(
    root: Path, table: Table, values: Sequence[str], *, skip_missing: bool = False
) -> ImagePaths:
    """Return the paths of the images of a list, as they are spelled on disk.

    A path may be absolute or have backslashes, and may differ from that of the file in Unicode
    form, case or ending. All paths may be relative to another folder than the root: one in which
    the list is, one directly below the root, or one above it. Such paths are replaced if exactly
    one file fits.

    Args:
        root: root folder.
        table: the list, for messages.
        values: path of each entry. Repeated ones are allowed.
        skip_missing: whether the files of some entries may be missing.

    Raises:
        ExtractError: a path is empty or outside the root, or a file is missing.
    """
    folders = Folders(root)
    paths = [make_relative(root, value) for value in values]
    missing = find_missing(folders, paths)
    if not missing:
        return ImagePaths(tuple(paths))
    found, warnings = search_images(folders, table, paths, missing)
    for index, path in found.items():
        paths[index] = path
    missing = [index for index in missing if index not in found]
    paths = [normalize_path(table, index, path) for index, path in enumerate(paths)]
    if not missing:
        return ImagePaths(tuple(paths), warnings)
    if not skip_missing or len(missing) == len(paths):
        raise ExtractError(describe_missing(folders, table, paths, missing))
    skipped = (
        f"{describe_first_missing(folders, table, paths, missing)}; their rows are kept as not "
        "valid (--on-error skip)"
    )
    return ImagePaths(tuple(paths), (*warnings, skipped))


def make_relative(root: Path, value: str) -> str:
    """Return a path in its shortest form, such as `a/b.jpg` for `./a//b.jpg`.

    A path inside the root becomes relative to it.
    """
    path = posixpath.normpath(value) if value else ""
    if not path.startswith("/"):
        return path
    for folder in dict.fromkeys(map(str, (root.absolute(), Path(os.path.realpath(root))))):
        if path.startswith(f"{folder}/"):
            return path[len(folder) + 1 :]
    return path


def find_missing(folders: Folders, paths: Sequence[str]) -> list[int]:
    """Return the indices of the paths that do not exist, or are not relative to the root.

    Each folder is listed once, which is much faster than a query for each file.
    """
    return [
        index
        for index, path in enumerate(paths)
        if is_outside(path) or not folders.exists(path) or folders.is_folder(path)
    ]


def is_outside(path: str) -> bool:
    """Return whether a path is empty, absolute or leads out of the folder it is relative to."""
    return path in ("", ".", "..") or path.startswith(("/", "../")) or has_drive(path)


def use_slashes(path: str) -> str:
    """Return a path with slashes in place of backslashes."""
    return path.replace("\\", "/")


def has_drive(path: str) -> bool:
    """Return whether a path begins with a drive or a host of Windows."""
    return bool(PureWindowsPath(path).drive)


def normalize_path(table: Table, index: int, value: str) -> str:
    """Return the path of one entry in its shortest form."""
    if not value:
        raise ExtractError(
            f"{table.location(index)}: the image path is empty, "
            "expected a path relative to the root"
        )
    path = posixpath.normpath(value)
    # A backslash is a separator on Windows and a letter elsewhere: check both readings.
    if is_outside(path) or is_outside(posixpath.normpath(use_slashes(value))):
        raise ExtractError(
            f"{table.location(index)}: the image path {value!r} is not inside the root, "
            "expected a path relative to the root"
        )
    return path


# Rules for finding the files of missing paths


Rule = tuple[str, int]
SAME_PATH: Rule = ("", 0)


def search_images(
    folders: Folders, table: Table, paths: Sequence[str], missing: Sequence[int]
) -> tuple[dict[int, str], tuple[str, ...]]:
    """Return the files of missing paths by index, found by the rule that finds most, and a warning.

    Files of entries that are not missing are never found again. Nothing is found if two rules that
    drop equally many parts find equally many, but different files.
    """
    taken = set(paths) - {paths[index] for index in missing}
    split = {index: split_path(paths[index]) for index in missing}
    best: dict[int, str] = apply_rule(folders, SAME_PATH, split, taken)
    # Only a list most of whose paths do not exist is relative to another folder.
    if len(best) < len(missing) > len(paths) / 2:
        best = find_best_rule(folders, table, split, taken, best)
    return best, describe_rule(table, paths, best)


def find_best_rule(
    folders: Folders,
    table: Table,
    split: dict[int, list[str]],
    taken: set[str],
    same: dict[int, str],
) -> dict[int, str]:
    """Return the files found by the rule that finds more than `same` and than any other rule."""
    sample = dict(list(split.items())[:: max(1, len(split) // SAMPLED_PATHS)])
    list_folder = make_relative(folders.root, str(table.path.absolute().parent))
    if not is_outside(list_folder):
        found = apply_rule(folders, (list_folder, 0), split, taken)
        if len(found) == len(split):
            return found
    best, is_ambiguous, best_dropped = same, False, 0
    for rule in list_rules(folders, max(map(len, split.values()))):
        if not apply_rule(folders, rule, sample, taken):
            continue
        found = apply_rule(folders, rule, split, taken)
        if len(found) > len(best):
            best, best_dropped, is_ambiguous = found, rule[1], False
        elif len(found) == len(best) and found != best and rule[1] == best_dropped:
            is_ambiguous = True
    return same if is_ambiguous else best


def split_path(path: str) -> list[str]:
    """Return the parts of a path, with slashes or backslashes, without drive and root."""
    windows = PureWindowsPath(path)
    parts = posixpath.normpath(use_slashes(path)[len(windows.drive) :]).split("/")
    return [part for part in parts if part not in ("", ".", "..")]


def list_rules(folders: Folders, depth: int) -> Iterator[Rule]:
    """Yield rules: a folder that paths are relative to, and how many of their parts to drop.

    Args:
        folders: folders below the root.
        depth: largest number of parts of a path.
    """
    prefixes = ["", *list_subfolders(folders)]
    for dropped in range(depth):
        yield from ((prefix, dropped) for prefix in prefixes if (prefix, dropped) != SAME_PATH)


def list_subfolders(folders: Folders) -> list[str]:
    """Return the folders directly below the root, and those that are alone in them."""
    names = sorted(name for name in folders.list("") if not is_image_name(name))[:MAX_FOLDERS]
    found = [name for name in names if (folders.root / name).is_dir()]
    for name in list(found):
        inner = sorted(folders.list(name))
        if len(inner) == 1 and (folders.root / name / inner[0]).is_dir():
            found.append(f"{name}/{inner[0]}")
    return found


def apply_rule(
    folders: Folders, rule: Rule, split: dict[int, list[str]], taken: set[str]
) -> dict[int, str]:
    """Return the files that a rule finds, by index; without files of two entries."""
    prefix, dropped = rule
    owner: dict[str, int] = {}
    shared = set()
    for index, parts in split.items():
        if len(parts) <= dropped:
            continue
        path = folders.find(posixpath.join(prefix, *parts[dropped:]))
        if path is None or path in taken:
            continue
        if owner.setdefault(path, index) != index and split[owner[path]] != parts:
            shared.add(path)
    found = {index: path for path, index in owner.items() if path not in shared}
    return found | copy_to_repeats(split, found)


def copy_to_repeats(split: dict[int, list[str]], found: dict[int, str]) -> dict[int, str]:
    """Return the files of the entries that repeat an entry whose file was found."""
    by_parts = {tuple(split[index]): path for index, path in found.items()}
    return {
        index: by_parts[tuple(parts)]
        for index, parts in split.items()
        if tuple(parts) in by_parts and index not in found
    }


def describe_rule(table: Table, paths: Sequence[str], found: dict[int, str]) -> tuple[str, ...]:
    """Return a warning that files were found elsewhere, unless only separators differ."""
    changed = [
        index for index in found if posixpath.normpath(use_slashes(paths[index])) != found[index]
    ]
    if not changed:
        return ()
    first = changed[0]
    return (
        f"{table.path}: {len(changed):,} of {len(paths):,} images are not at the path of the list "
        f"but were found at a similar one: row {table.row_numbers[first]} is {paths[first]!r}, the "
        f"file is {found[first]!r}",
    )


# Messages


def describe_missing(
    folders: Folders, table: Table, paths: Sequence[str], missing: Sequence[int]
) -> str:
    """Return which images are missing, where a file of the first one's name is, and what to do."""
    if URL.match(paths[missing[0]]):
        return describe_url(table, paths, missing)
    text = describe_first_missing(folders, table, paths, missing)
    elsewhere = find_elsewhere(folders.root, paths[missing[0]])
    hint = f"; there is {elsewhere}" if elsewhere else ""
    if len(missing) == len(paths):
        example = next(iter(sorted(folders.list(""))), None)
        holds = f", which holds {example}" if example and not elsewhere else ""
        return f"{text}{hint}; correct --root, now {folders.root}{holds}, or the paths of the list"
    return (
        f"{text}{hint}; complete the folder, correct --root, shorten the list, or keep their rows "
        "as not valid with --on-error skip"
    )


def describe_url(table: Table, paths: Sequence[str], missing: Sequence[int]) -> str:
    """Describe a list of URLs instead of files, with the remedy."""
    url = URL.sub(r"\1://", paths[missing[0]])
    return (
        f"{table.location(missing[0])}: {url} is the URL of an image, expected a "
        "file; download the images and list their files, or download them into archives with "
        "img2dataset and name those with --dataset webdataset"
    )


def describe_first_missing(
    folders: Folders, table: Table, paths: Sequence[str], missing: Sequence[int]
) -> str:
    """Return the first missing image and how many there are."""
    return (
        f"{table.location(missing[0])}: the image {folders.root / paths[missing[0]]} does not "
        f"exist ({len(missing):,} of {len(paths):,} images are missing)"
    )


def find_elsewhere(root: Path, path: str) -> Path | None:
    """Return the only file below the root with a similar name, or the path beside it."""
    found = find_by_name(root, posixpath.basename(path))
    if len(found) == 1:
        return found[0]
    beside = Folders(root.absolute().parent)
    path = beside.find("/".join(split_path(path)))
    return beside.root / path if path else None


def find_by_name(root: Path, name: str) -> list[Path]:
    """Return the first two files below a root with similar names, if it is not large."""
    found, searched = [], 0
    for folder, _, files in os.walk(root):
        name_in_folder = Folders(Path(folder)).find(name) if files else None
        found += [Path(folder) / name_in_folder] if name_in_folder else []
        searched += 1 + len(files)
        if len(found) > 1 or searched > MAX_SEARCHED:
            break
    return found
