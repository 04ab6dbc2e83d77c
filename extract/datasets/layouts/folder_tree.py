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
    """The folders below a root, down to MAX_DEPTH levels. Each is listed at most once.

    Attributes:
        root: root folder.
        known: folders of each level that has been listed; level 0 is the root alone.
    """

    def __init__(self, root: Path):
        self.root = root
        self.known: list[list[Listing]] = [[list_folder(root)]]

    def levels(self) -> Iterator[list[Listing]]:
        """Yield the folders of each level: [root], the folders in the root, and so on.

        A level is listed when it is first asked for. Ends at the first level without folders, or
        after level MAX_DEPTH.
        """
        for depth in range(MAX_DEPTH + 1):
            if depth == len(self.known):
                self.known.append(self.list_next_level())
            if not self.known[depth]:
                return
            yield self.known[depth]

    def list_next_level(self) -> list[Listing]:
        """List the level below the deepest known one: the subfolders of all of its folders.

        Subfolders come in the order of their parents, then by name. Those of a folder that has more
        than MAX_SUBFOLDERS are left out, and so are those that would make the tree larger than
        MAX_FOLDERS. MAX_DEPTH is not checked here. Does not change `known`.

        Returns:
            The contents of each subfolder; empty if there are none.
        """
        num_left = MAX_FOLDERS - sum(map(len, self.known))
        paths = [
            folder.path / name
            for folder in self.known[-1]
            if len(folder.folders) <= MAX_SUBFOLDERS
            for name in folder.folders
        ]
        return [list_folder(path) for path in paths[: max(0, num_left)]]

    def folders(self) -> Iterator[Listing]:
        """Yield the folders of all levels, those nearest to the root first; see `levels`."""
        for level in self.levels():
            yield from level


def list_folder(path: Path) -> Listing:
    """Return the contents of a folder; no names if it does not exist or cannot be listed.

    Hidden names and leftovers of operating systems are left out.
    """
    try:
        with os.scandir(path) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError:
        found = []
    kept = [(name, is_folder) for name, is_folder in found if not LEFTOVERS.match(name)]
    files = tuple(name for name, is_folder in kept if not is_folder)
    return Listing(path, files, tuple(name for name, is_folder in kept if is_folder))
