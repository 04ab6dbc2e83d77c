"""The folders that hold CheXpert's patients, in one piece or in the batches of today's download.

One piece has `train/` and `valid/` beside the lists. The batches are folders such as
`CheXpert-v1.0 batch 1 (validate & csv)`, which holds the lists and `valid/`, and `CheXpert-v1.0
batch 2 (train 1)`, which holds a part of the patients of `train/`.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clip_cfr.extract.datasets.layouts.folder_tree import Listing, list_folder
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError

PARTS = ("train", "valid")
BATCH = re.compile(r"batch[\W_]*\d", re.IGNORECASE)
PATIENT = re.compile(r"patient\d+\Z")
# An archive may be unpacked into a folder of its own name, with `train/` in it.
MAX_DEPTH = 2


@dataclass(frozen=True)
class PatientFolders:
    """The locations of the patients' folders.

    Attributes:
        root: folder that contains all of them, at any depth.
        parents: path of the folder that contains a patient's folder, by the name of the patient's
            folder (`patient00001`), relative to the root.
        batches: names of the folders of batches in the root; empty if the data set is in one piece.
    """

    root: Path
    parents: Mapping[str, str]
    batches: tuple[str, ...]

    def locate(self, path: str) -> str:
        """Return the path of an image, given as in the lists, relative to the root.

        For `train/patient00001/study1/a.jpg` the part `train` is replaced by the folder in
        `parents`. The path of an unknown patient's image is returned as it is.
        """
        _, _, inner = path.partition("/")
        parent = self.parents.get(inner.partition("/")[0])
        return path if parent is None else os.path.join(parent, inner)

    def require_patients(self, table: Table, paths: Sequence[str]) -> None:
        """Raise ExtractError if there are batches, and a patient is in none of them.

        Args:
            table: the list, for messages.
            paths: path of each entry, such as `train/patient00001/study1/view1_frontal.jpg`.
        """
        if not self.batches:
            return
        patients = [path.split("/")[1] if "/" in path else "" for path in paths]
        missing = [index for index, name in enumerate(patients) if name not in self.parents]
        if missing:
            raise ExtractError(
                f"{table.location(missing[0])}: {patients[missing[0]]} is in none of the batches "
                f"{', '.join(self.batches)} in {self.root} ({len(missing):,} of {len(paths):,} "
                "images are missing); unpack the other batches there, or keep their rows as not "
                "valid with --on-error skip"
            )


def find_patients(folder: Path) -> PatientFolders:
    """Return the locations of the patients' folders.

    They are in `train/` and `valid/` beside the lists, and in the batches. Of folders of one name
    the first counts.

    Args:
        folder: folder that contains the lists; the batches are in it or, if it is a batch itself,
            beside it.
    """
    root = folder.parent if BATCH.search(folder.name) else folder
    batches = tuple(name for name in list_folder(root).folders if BATCH.search(name))
    searched = [folder / part for part in PARTS] + [root / name for name in batches]
    parents: dict[str, str] = {}
    for listing in (each for path in searched for each in walk(path, MAX_DEPTH)):
        parent = os.path.relpath(listing.path, root)
        for name in filter(PATIENT.match, listing.folders):
            parents.setdefault(name, parent)
    return PatientFolders(root, parents, batches)


def walk(path: Path, depth: int) -> Iterator[Listing]:
    """Yield the contents of a folder and of the folders in it down to a depth, but of no patient.

    Args:
        path: the folder; one that does not exist has no contents.
        depth: number of levels below it.
    """
    listing = list_folder(path)
    yield listing
    for name in listing.folders if depth else ():
        if not PATIENT.match(name):
            yield from walk(path / name, depth - 1)
