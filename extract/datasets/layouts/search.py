"""Search for a list or the images of a data set, first at their published paths."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from clip_cfr.extract.datasets.common.find_files import find_first_file, require_folder
from clip_cfr.extract.datasets.common.find_list import read_given_list
from clip_cfr.extract.datasets.common.folders import Folders
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.layouts.folder_tree import FolderTree
from clip_cfr.extract.datasets.tables.read_table import read_table
from clip_cfr.extract.datasets.tables.roles import simplify
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError

SAMPLE_SIZE = 8
ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".7z")


@dataclass(frozen=True)
class Found:
    """A file or folder that was found.

    Attributes:
        path: the file or folder.
        warnings: where it is, if not at its published path; otherwise empty.
    """

    path: Path
    warnings: tuple[str, ...] = ()


def find_published_file(tree: FolderTree, candidates: Sequence[str], expected: str) -> Found:
    """Return the first candidate that exists, or the nearest file with the name of one.

    That file is in the root, in a folder below, or directly in the folder above, in this order. Its
    name may differ in case and punctuation. A warning says where it is, unless it is in the root.

    Args:
        tree: the folders of the data set.
        candidates: published paths relative to the root, the preferred ones first.
        expected: expected content of the root in words, for messages.

    Raises:
        ExtractError: the root is not a folder, there is no such file, or several are equally near.
    """
    require_folder(tree.root, expected)
    found = search_file(tree, candidates)
    if found is None:
        names = dict.fromkeys(Path(each).name for each in candidates)
        archive = find_archive(tree)
        raise ExtractError(
            f"{tree.root} contains none of {', '.join(names)}; "
            f"{f'unpack {archive}, or ' if archive else ''}"
            f"set --root to a folder that contains {expected}"
        )
    return found


def read_published_list(
    tree: FolderTree, candidates: Sequence[str], expected: str, options: DatasetOptions
) -> tuple[Table, tuple[str, ...]]:
    """Read the list that the user names, or that of `find_published_file`.

    Args:
        tree, candidates, expected: as for `find_published_file`.
        options: `metadata` and `columns` are used.

    Returns:
        The list, and warnings that say where it is.

    Raises:
        ExtractError: there is no list, or it is not valid.
    """
    require_folder(tree.root, expected)
    if options.metadata is not None:
        return read_given_list(tree.root, options.metadata, options.columns), ()
    found = find_published_file(tree, candidates, expected)
    return read_table(found.path, options.columns), found.warnings


def search_file(tree: FolderTree, candidates: Sequence[str]) -> Found | None:
    """Return the file that `find_published_file` returns, or None if there is none.

    Raises:
        ExtractError: several files are equally near.
    """
    published = find_first_file(tree.root, candidates)
    if published is not None:
        return Found(published)
    names = list(dict.fromkeys(simplify(Path(each).name) for each in candidates))
    found = find_below(tree, names) or find_above(tree, names)
    if found is None:
        return None
    if found.parent == tree.root:
        return Found(found)
    return Found(found, (f"{tree.root} does not contain {found.name} itself; using {found}",))


def find_archive(tree: FolderTree) -> Path | None:
    """Return the path of the first archive directly in the root, such as `a.zip`, or None."""
    root = next(tree.levels())[0]
    return next((tree.root / name for name in root.files if name.endswith(ARCHIVE_ENDINGS)), None)


def find_below(tree: FolderTree, names: Sequence[str]) -> Path | None:
    """Return the path of the nearest file in the tree with one of some names, or None.

    In one folder level, earlier names take precedence.

    Args:
        tree: the folders, searched from the root on.
        names: names simplified by `simplify`, with which those of files are compared.

    Raises:
        ExtractError: several files of one name are equally near.
    """
    for level in tree.levels():
        for name in names:
            found = [
                folder.path / file
                for folder in level
                for file in folder.files
                if simplify(file) == name
            ]
            if len(found) > 1:
                raise ExtractError(
                    f"{tree.root} contains {len(found)} files of one name: "
                    f"{', '.join(map(str, found[:5]))}; set --root to one of their folders"
                )
            if found:
                return found[0]
    return None


def find_above(tree: FolderTree, names: Sequence[str]) -> Path | None:
    """Return the path of the first file in the parent folder of the root with one of some names.

    None if there is none. Names are simplified by `simplify`, and earlier ones take precedence.
    """
    parent = FolderTree(tree.root.absolute().parent)
    files = next(parent.levels())[0].files
    found = [file for name in names for file in files if simplify(file) == name]
    return parent.root / found[0] if found else None


def find_image_folder(tree: FolderTree, published: Sequence[Path], paths: Sequence[str]) -> Found:
    """Return the folder that the paths of images are relative to.

    Args:
        tree: the folders of the data set.
        published: published folders of the images, the preferred ones first.
        paths: paths of the images.

    Returns:
        The folder in which most of a sample of the paths exist, the first of equal ones, with a
        warning if it is neither published nor the root. If none of them exists anywhere, even in
        another spelling, the first published folder that does, or the root.
    """
    sample = paths[:: max(1, len(paths) // SAMPLE_SIZE)]
    existing = [path for path in published if path.is_dir()]
    for count in (count_existing, count_similar):
        best = find_best_folder(tree, existing, partial(count, paths=sample), len(sample))
        if best is not None:
            is_expected = best in existing or best == tree.root
            return Found(best, () if is_expected else (f"{tree.root}: using the images in {best}",))
    return Found(existing[0] if existing else tree.root)


def find_best_folder(
    tree: FolderTree, published: Sequence[Path], count: Callable[[Path], int], max_count: int
) -> Path | None:
    """Return the first folder with more than half of the maximum count, or else the best one.

    Published folders come first, then those of the tree, the nearest to the root first. None if all
    counts are 0.

    Args:
        tree: the folders of the data set.
        published: existing published folders.
        count: number of images that are in a folder.
        max_count: largest possible result of `count`.
    """
    best, best_count = None, 0
    for folder in chain(published, (each.path for each in tree.folders())):
        found = count(folder)
        if found > best_count:
            best, best_count = folder, found
        if 2 * found > max_count:
            break
    return best


def count_existing(folder: Path, paths: Sequence[str]) -> int:
    """Return the number of paths, relative to a folder, that are files in exactly this spelling."""
    return sum((folder / path).is_file() for path in paths)


def count_similar(folder: Path, paths: Sequence[str]) -> int:
    """Return the number of paths, relative to a folder, that `Folders.find` finds as files.

    Case, Unicode form and the ending of an image may differ.
    """
    folders = Folders(folder)
    return sum(folders.find(path) is not None for path in paths)
