"""CheXpert's lists: the columns that are used, from train.csv and valid.csv together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32

from clip_cfr.extract.datasets.chexpert.demographics import patient_number
from clip_cfr.extract.datasets.common.csv_table import Table, read_csv
from clip_cfr.extract.datasets.common.image_paths import relative_paths, require_images
from clip_cfr.extract.errors import ExtractError

# Nobody marks the absence of "no finding": an empty field says it.
NO_FINDING = {"": 0, "0": 0, "0.0": 0, "1": 1, "1.0": 1}
SEXES = {"Male": 0, "Female": 1}
UNKNOWN = -1


@dataclass(frozen=True)
class Images:
    """Columns over images.

    `labels` are 1 where there is no finding; `sexes` 0 male, 1 female, -1 unknown.
    """

    paths: tuple[str, ...]
    labels: Int32[np.ndarray, " n"]
    sexes: Int32[np.ndarray, " n"]
    patients: Int32[np.ndarray, " n"]

    def only(self, kept: Bool[np.ndarray, " n"]) -> "Images":
        """The images that are kept."""
        return Images(
            paths=tuple(path for path, keep in zip(self.paths, kept, strict=True) if keep),
            labels=self.labels[kept],
            sexes=self.sexes[kept],
            patients=self.patients[kept],
        )


def read_images(folder: Path, lists: Sequence[Path]) -> Images:
    """The images of several lists, in their order; paths are relative to the folder.

    Raises:
        ExtractError: an image is missing or listed twice, or a list holds what it should not.
    """
    parts = [images_of(folder, read_csv(path)) for path in lists]
    joined = Images(
        paths=tuple(path for part in parts for path in part.paths),
        labels=np.concatenate([part.labels for part in parts]),
        sexes=np.concatenate([part.sexes for part in parts]),
        patients=np.concatenate([part.patients for part in parts]),
    )
    if len(set(joined.paths)) != len(joined.paths):
        raise ExtractError(f"{' and '.join(map(str, lists))} share images, expected each once")
    return joined


def images_of(folder: Path, table: Table) -> Images:
    """The images of one list."""
    # Whatever the folder is called here, paths begin with the name that it was published under.
    values = [value.partition("/")[2] for value in table.column("Path")]
    paths = relative_paths(table, values)
    require_images(folder, table, paths)
    sexes = [SEXES.get(sex, UNKNOWN) for sex in table.column("Sex")]
    return Images(
        paths=paths,
        labels=table.coded(NO_FINDING, "No Finding"),
        sexes=np.array(sexes, np.int32),
        patients=np.array([patient(table, *entry) for entry in enumerate(paths)], np.int32),
    )


def patient(table: Table, index: int, path: str) -> int:
    """The patient of an image, from its path `train/patient00001/study1/view1_frontal.jpg`."""
    folders = path.split("/")
    number = patient_number(folders[-3]) if len(folders) >= 3 else None
    if number is None:
        raise ExtractError(
            f"{table.place(index)}: the path {path!r} names no patient, "
            "expected train/patient00001/study1/view1_frontal.jpg or the like"
        )
    return number
