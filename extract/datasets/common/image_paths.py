"""Image paths of a list: relative to the root, and those of existing files."""

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from clip_cfr.cache.wording import agree
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
    """The paths of the images of a list.

    Attributes:
        paths: path of each entry, relative to the root, with slashes.
        warnings: notes for the user: paths that differ from those of the list, missing images.
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
    one file fits. Images are not opened.

    Args:
        root: root folder.
        table: the list, for messages.
        values: path of each entry. Repeated ones are allowed.
        skip_missing: whether the files of some entries, but not of all, may be missing; their paths
            are those of the list, with a warning.

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
        f"{describe_first_missing(folders, table, paths, missing)}; kept as not "
        "valid (--on-error skip)"
    )
    return ImagePaths(tuple(paths), (*warnings, skipped))


def make_relative(root: Path, value: str) -> str:
    """Return a path in its shortest form, such as `a/b.jpg` for `./a//b.jpg`.

    An absolute path inside the root becomes relative to it; one outside stays absolute. An empty
    path stays empty.
    """
    path = posixpath.normpath(value) if value else ""
    if not path.startswith("/"):
        return path
    for folder in dict.fromkeys(map(str, (root.absolute(), Path(os.path.realpath(root))))):
        if path.startswith(f"{folder}/"):
            return path[len(folder) + 1 :]
    return path


def find_missing(folders: Folders, paths: Sequence[str]) -> list[int]:
    """Return the ascending indices of the paths that are not files below the root.

    Each folder is listed once, which is much faster than a query for each file. The spelling must
    be exact.
    """
    return [
        index
        for index, path in enumerate(paths)
        if is_outside(path) or not folders.exists(path) or folders.is_folder(path)
    ]


def is_outside(path: str) -> bool:
    """Return whether a normalized path is not below its folder.

    That is the case if it is the folder itself (empty or `.`), absolute, or leads out of it (`..`).
    Drives and hosts of Windows count as absolute.

    Args:
        path: a path with slashes, as `posixpath.normpath` returns it.
    """
    return path in ("", ".", "..") or path.startswith(("/", "../")) or has_drive(path)


def use_slashes(path: str) -> str:
    """Return a path with slashes in place of backslashes."""
    return path.replace("\\", "/")


def has_drive(path: str) -> bool:
    """Return whether a path begins with a drive (`C:`) or a host of Windows."""
    return bool(PureWindowsPath(path).drive)


def normalize_path(table: Table, index: int, value: str) -> str:
    """Return the path of one entry in its shortest form.

    Args:
        table: the list, for messages.
        index: index of the entry, for messages.
        value: path of the entry.

    Raises:
        ExtractError: the path is empty or not inside the root.
    """
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

    The paths themselves, in a similar spelling, are looked for first. If that leaves some open, and
    most paths of the list are missing, `find_best_rule` looks in other folders. Files of entries
    that are not missing are never found again.

    Args:
        folders: folders below the root.
        table: the list.
        paths: path of each entry.
        missing: indices of the missing paths.

    Returns:
        Path on disk by index, without indices for which nothing is found; and no or one warning.
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
    """Return the files found by the rule that finds more than `same` and than any other rule.

    The folder of the list is taken if it has all files. Otherwise the rules of `list_rules`
    compete; `same` is returned if none finds more, or if two rules that drop equally many parts
    find equally many, but different files.

    Args:
        folders: folders below the root.
        table: the list.
        split: parts of each missing path by index.
        taken: files of other entries, which are not found.
        same: files found without another folder, by index.

    Returns:
        Path on disk by index.
    """
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
    """Return the parts of a path without drive and root: [`a`, `b.jpg`] for `C:/a/b.jpg`.

    Slashes and backslashes separate parts; `.` and `..` are left out.
    """
    windows = PureWindowsPath(path)
    parts = posixpath.normpath(use_slashes(path)[len(windows.drive) :]).split("/")
    return [part for part in parts if part not in ("", ".", "..")]


def list_rules(folders: Folders, depth: int) -> Iterator[Rule]:
    """Yield rules (prefix, dropped), those that drop the fewest parts first.

    A rule turns a path into `prefix/rest`, where the first `dropped` parts are gone. SAME_PATH,
    which changes nothing, is not among them.

    Args:
        folders: folders below the root; they are the prefixes, after the root itself.
        depth: largest number of parts of a path.
    """
    prefixes = ["", *list_subfolders(folders)]
    for dropped in range(depth):
        yield from ((prefix, dropped) for prefix in prefixes if (prefix, dropped) != SAME_PATH)


def list_subfolders(folders: Folders) -> list[str]:
    """Return the folders that a list may be relative to, as paths relative to the root.

    These are the first MAX_FOLDERS folders directly below the root, then `outer/inner` for each of
    them that holds a folder and nothing else.
    """
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
    """Return the files that a rule finds, as paths on disk by index.

    Files that entries of different paths would share are not found; entries of equal paths share
    one.

    Args:
        folders: folders below the root.
        rule: prefix to put in front, and number of parts to drop.
        split: parts of each missing path by index.
        taken: files of other entries, which are not found.
    """
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
    """Return the files, by index, of the entries without one that repeat a path with a file.

    Args:
        split: parts of each missing path by index.
        found: file by index for some of these indices.
    """
    by_parts = {tuple(split[index]): path for index, path in found.items()}
    return {
        index: by_parts[tuple(parts)]
        for index, parts in split.items()
        if tuple(parts) in by_parts and index not in found
    }


def describe_rule(table: Table, paths: Sequence[str], found: dict[int, str]) -> tuple[str, ...]:
    """Return one warning with an example that files were found at other paths than in the list.

    Empty if the paths differ in separators or dots only.
    """
    changed = [
        index for index in found if posixpath.normpath(use_slashes(paths[index])) != found[index]
    ]
    if not changed:
        return ()
    first = changed[0]
    return (
        f"{table.path}: {len(changed):,} of {len(paths):,} images "
        f"{agree(len(changed), 'is', 'are')} not at the path of the list but "
        f"{agree(len(changed), 'was', 'were')} found at a similar one: row "
        f"{table.row_numbers[first]} is {paths[first]!r}, the file is {found[first]!r}",
    )


# Messages


def describe_missing(
    folders: Folders, table: Table, paths: Sequence[str], missing: Sequence[int]
) -> str:
    """Return the message for missing images: the first one, where such a file is, and the remedy.

    If the first one is the URL of an image, the message is that of `describe_url`.
    """
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
    """Return the message for a list of URLs instead of files: the first one, and the remedy."""
    url = URL.sub(r"\1://", paths[missing[0]])
    return (
        f"{table.location(missing[0])}: {url} is the URL of an image, expected a "
        "file; download the images and list their files, or download them into archives with "
        "img2dataset and name those with --dataset webdataset"
    )


def describe_first_missing(
    folders: Folders, table: Table, paths: Sequence[str], missing: Sequence[int]
) -> str:
    """Return the row and file of the first missing image and the number of missing ones.

    For example `metadata.csv, row 2: the image data/a.jpg does not exist (1 of 9 images is
    missing)`.
    """
    return (
        f"{table.location(missing[0])}: the image {folders.root / paths[missing[0]]} does not "
        f"exist ({len(missing):,} of {len(paths):,} images "
        f"{agree(len(missing), 'is', 'are')} missing)"
    )


def find_elsewhere(root: Path, path: str) -> Path | None:
    """Return the path of a file that may be a missing image, or None.

    It is the only file below the root with a similar name, or else the file at the same or a
    similar path relative to the parent of the root.
    """
    found = find_by_name(root, posixpath.basename(path))
    if len(found) == 1:
        return found[0]
    beside = Folders(root.absolute().parent)
    path = beside.find("/".join(split_path(path)))
    return beside.root / path if path else None


def find_by_name(root: Path, name: str) -> list[Path]:
    """Return at most two files below a root with the name or a similar one (see `Folders.find`).

    The search ends after MAX_SEARCHED files and folders.
    """
    found, searched = [], 0
    for folder, _, files in os.walk(root):
        name_in_folder = Folders(Path(folder)).find(name) if files else None
        found += [Path(folder) / name_in_folder] if name_in_folder else []
        searched += 1 + len(files)
        if len(found) > 1 or searched > MAX_SEARCHED:
            break
    return found
