"""Find the archives of a data set: one file, the files of a folder, or those of a pattern."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clip_cfr.extract.datasets.archives.patterns import expand_pattern, is_pattern, natural_key
from clip_cfr.extract.datasets.common.folders import LEFTOVERS
from clip_cfr.extract.errors import ExtractError

ADDRESS = re.compile(r"(pipe|https?|ftp|s3|gs|gcs|hf|hdfs|az|abfss?):", re.IGNORECASE)


@dataclass(frozen=True)
class Archives:
    """The archives of a data set.

    Attributes:
        folder: the deepest folder that holds them all.
        paths: their paths.
        names: their paths relative to that folder, with slashes, without ending: `train/000`.
        warnings: notes for the user on how they were found.
    """

    folder: Path
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def find_archives(root: Path, endings: Sequence[str], example: str) -> Archives:
    """Return the archives that `--root` names, in the order of a folder or pattern.

    Args:
        root: an archive, a folder of archives (see `find_in_folder`), or a pattern (see
            `expand_pattern`).
        endings: endings of the archives in lower case, such as `.tar`. They only matter in folders,
            and for the names of the archives.
        example: example of a pattern, for messages.

    Raises:
        ExtractError: there is no archive, a file of the pattern is missing, or the root is a URL.
    """
    text = str(root)
    if ADDRESS.match(text):
        raise ExtractError(
            f"--root {text} is a URL, expected files of this machine; download them first"
        )
    if root.is_dir():
        return find_in_folder(root, endings, example)
    if root.exists():
        return name_archives([root], endings)
    if is_pattern(text):
        return name_archives(expand_pattern(text), endings)
    raise ExtractError(
        f"{root} is not an existing folder; set --root to a folder that contains "
        f"{endings[0]} files, to one of them, or to a pattern such as {example!r}"
    )


def find_in_folder(root: Path, endings: Sequence[str], example: str) -> Archives:
    """Return the archives directly in a folder or, if there is none, those at any depth below it.

    In the second case a warning names the folders. Numbers in the paths are ordered by value.

    Raises:
        ExtractError: there is none, or the root cannot be listed. A folder below it that cannot be
            listed is skipped.
    """
    paths = list_archives(root, endings)
    if paths:
        return name_archives(paths, endings)
    below = [path for folder in walk_folders(root) for path in list_archives(folder, endings)]
    if not below:
        raise ExtractError(
            f"{root} contains no {endings[0]} files; set --root to a folder that contains some, to "
            f"one of them, or to a pattern such as {example!r}"
        )
    below = sorted(below, key=natural_key)
    folders = list(dict.fromkeys(str(path.parent.relative_to(root)) for path in below))
    shown = ", ".join(folders[:5]) + (", ..." if len(folders) > 5 else "")
    warning = f"{root} contains no {endings[0]} files itself; using the {len(below):,} in {shown}"
    return name_archives(below, endings, (warning,))


def walk_folders(root: Path) -> Iterator[Path]:
    """Yield a folder and all folders below it, parents before children, siblings in any order.

    Below the root, hidden folders, leftovers of a system (`LEFTOVERS`), links to folders, and
    folders that cannot be listed are left out.
    """
    for folder, folders, _ in os.walk(root):
        folders[:] = [name for name in folders if not LEFTOVERS.match(name)]
        yield Path(folder)


def list_archives(folder: Path, endings: Sequence[str]) -> list[Path]:
    """Return the paths of the archives directly in a folder; `2.tar` precedes `10.tar`.

    Hidden files are left out. Empty if there is none.

    Raises:
        ExtractError: the folder cannot be listed.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise ExtractError(
            f"{folder} cannot be listed ({error.strerror}); check the folder and --root"
        ) from error
    paths = [
        folder / name
        for name in names
        if name.lower().endswith(tuple(endings)) and not LEFTOVERS.match(name)
    ]
    return sorted((path for path in paths if path.is_file()), key=natural_key)


def name_archives(
    paths: Sequence[Path], endings: Sequence[str], warnings: tuple[str, ...] = ()
) -> Archives:
    """Return `Archives` with the common folder of some paths and the name of each archive.

    Args:
        paths: the archives, at least one.
        endings: endings to remove from the names.
        warnings: notes for the user.
    """
    parents = [path.absolute().parent for path in paths]
    common = Path(os.path.commonpath(parents))
    names = [
        (parent.relative_to(common) / path.name).as_posix()
        for parent, path in zip(parents, paths, strict=True)
    ]
    stems = tuple(strip_ending(name, endings) for name in names)
    return Archives(common, tuple(paths), stems, warnings)


def strip_ending(name: str, endings: Sequence[str]) -> str:
    """Return a name without the longest of `endings` that it has, in any case; else unchanged."""
    ending = max((end for end in endings if name.lower().endswith(end)), key=len, default="")
    return name[: len(name) - len(ending)]
