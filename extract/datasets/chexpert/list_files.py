"""CheXpert's lists train.csv and valid.csv: the columns that this project uses."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32

from clip_cfr.extract.datasets.chexpert.demographics import parse_patient_number
from clip_cfr.extract.datasets.chexpert.patient_folders import PatientFolders
from clip_cfr.extract.datasets.common.image_paths import locate_images, use_slashes
from clip_cfr.extract.datasets.tables.read_table import read_table
from clip_cfr.extract.datasets.tables.roles import Role
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError

# The lists leave the field empty if there is a finding.
NO_FINDING_CODES = {"": 0, "0": 0, "0.0": 0, "1": 1, "1.0": 1}
SEX_CODES = {"Male": 0, "Female": 1}
UNKNOWN = -1


@dataclass(frozen=True)
class ImageList:
    """Columns of the lists, with an entry for each image.

    Attributes:
        ids: path as in the lists without the first folder, such as
            `train/patient00001/study1/view1_frontal.jpg`.
        paths: path on disk, relative to the folder that contains all patients.
        labels: 1 if there is no finding, otherwise 0.
        sexes: 0 male, 1 female, -1 unknown.
        patients: number of the patient.
        warnings: notes for the user on how the images were found.
    """

    ids: tuple[str, ...]
    paths: tuple[str, ...]
    labels: Int32[np.ndarray, " n"]
    sexes: Int32[np.ndarray, " n"]
    patients: Int32[np.ndarray, " n"]
    warnings: tuple[str, ...] = ()

    def select(self, mask: Bool[np.ndarray, " n"]) -> "ImageList":
        """Return the images for which the mask is true, in their order, with all warnings."""
        return ImageList(
            ids=tuple(compress(self.ids, mask)),
            paths=tuple(compress(self.paths, mask)),
            labels=self.labels[mask],
            sexes=self.sexes[mask],
            patients=self.patients[mask],
            warnings=self.warnings,
        )


def read_image_lists(
    folders: PatientFolders, lists: Sequence[Path], *, skip_missing: bool = False
) -> ImageList:
    """Return the images of several lists, list after list.

    Args:
        folders: where the folders of the patients are.
        lists: paths of the CSV files, at least one.
        skip_missing: whether the files of some images may be missing.

    Raises:
        ExtractError: an image is missing or a duplicate, or a list is not valid.
    """
    parts = [read_image_list(folders, read_table(path), skip_missing) for path in lists]
    images = ImageList(
        ids=tuple(each for part in parts for each in part.ids),
        paths=tuple(path for part in parts for path in part.paths),
        labels=np.concatenate([part.labels for part in parts]),
        sexes=np.concatenate([part.sexes for part in parts]),
        patients=np.concatenate([part.patients for part in parts]),
        warnings=tuple(warning for part in parts for warning in part.warnings),
    )
    if len(set(images.paths)) != len(images.paths):
        raise ExtractError(
            f"{' and '.join(map(str, lists))} contain the same images, expected each image in one "
            "list; download the lists again"
        )
    return images


def read_image_list(folders: PatientFolders, table: Table, skip_missing: bool) -> ImageList:
    """Return the images of one list.

    Args:
        folders: where the folders of the patients are.
        table: the list, with the columns Path, Sex and No Finding.
        skip_missing: whether the files of some images may be missing.

    Raises:
        ExtractError: an image is missing or listed twice, a column is missing, or a value is not
            one of those expected. An unknown sex is no error.
    """
    # Paths begin with the published name of the data set's folder, which may have another name.
    ids = [use_slashes(value).partition("/")[2] for value in table.column(Role("Path"))]
    if not skip_missing:
        folders.require_patients(table, ids)
    values = [folders.locate(each) for each in ids]
    images = locate_images(folders.root, table, values, skip_missing=skip_missing)
    table.require_unique("image", images.paths)
    sexes = [SEX_CODES.get(sex, UNKNOWN) for sex in table.column(Role("Sex"))]
    return ImageList(
        ids=tuple(ids),
        paths=images.paths,
        labels=table.encode_column(NO_FINDING_CODES, Role("No Finding")),
        sexes=np.array(sexes, np.int32),
        patients=np.array([parse_patient(table, *entry) for entry in enumerate(ids)], np.int32),
        warnings=images.warnings,
    )


def parse_patient(table: Table, index: int, path: str) -> int:
    """Return the patient's number in a path such as `train/patient00001/study1/view1.jpg`.

    Args:
        table: the list, for messages.
        index: index of the entry, for messages.
        path: path of the image; the patient is the third part from its end.

    Raises:
        ExtractError: that part is not a patient.
    """
    folders = path.split("/")
    number = parse_patient_number(folders[-3]) if len(folders) >= 3 else None
    if number is None:
        raise ExtractError(
            f"{table.location(index)}: the image path {path!r} contains no patient, expected a "
            "path such as train/patient00001/study1/view1_frontal.jpg"
        )
    return number
