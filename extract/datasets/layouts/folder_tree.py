"""The folders below a root, level by level."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clip_cfr.extract.datasets.common.folders import LEFTOVERS

MAX_DEPTH = 4
MAX_FOLDERS = 2000
# Folders with more subfolders, such as those of patients, are not searched.
MAX_SUBFOLDERS = 500


@dataclass(frozen=True)
class Listing:
    """The contents of a folder, without leftovers of operating systems.

    Attributes:
        path: the folder.
        files, folders: names in it, sorted.
    """

    path: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]


class FolderTree:
    """The folders below a root. Each is listed at most once.

    Attributes:
        root: root folder.
    """

    def __init__(self, root: Path):
        self.root = root
        self.known: list[list[Listing]] = [[list_folder(root)]]

    def levels(self) -> Iterator[list[Listing]]:
        """Yield the folders of each level: the root, those in it, and so on."""
        for depth in range(MAX_DEPTH + 1):
            if depth == len(self.known):
                self.known.append(self.list_next_level())
            if not self.known[depth]:
                return
            yield self.known[depth]

    def list_next_level(self) -> list[Listing]:
        """Return the folders in those of the last known level, up to a limit."""
        num_left = MAX_FOLDERS - sum(map(len, self.known))
        paths = [
            folder.path / name
            for folder in self.known[-1]
            if len(folder.folders) <= MAX_SUBFOLDERS
            for name in folder.folders
        ]
        return [list_folder(path) for path in paths[: max(0, num_left)]]

    def folders(self) -> Iterator[Listing]:
        """Yield all folders, those nearest to the root first."""
        for level in self.levels():
            yield from level


def list_folder(path: Path) -> Listing:
    """Return the contents of a folder; empty if it cannot be listed."""
    try:
        with os.scandir(path) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError:
        found = []
    kept = [(name, is_folder) for name, is_folder in found if not LEFTOVERS.match(name)]
    files = tuple(name for name, is_folder in kept if not is_folder)
    return Listing(path, files, tuple(name for name, is_folder in kept if is_folder))
