"""CheXpert (Irvin et al. 2019): chest x-rays with and without a finding.

The spurious attribute is the patient's sex and race, or the sex alone.

The root is one of FOLDERS, or contains one:

    train.csv, valid.csv                            lists of images
    train/patient00001/study1/view1_frontal.jpg     images, at the paths in the lists
    CHEXPERT DEMO.xlsx or .csv                      races of the patients; optional

or contains the batches of today's download, or is the first one:

    CheXpert-v1.0 batch 1 (validate & csv)/         the lists and valid/
    CheXpert-v1.0 batch 2 (train 1)/                patient00001/ and so on; also batches 3 and 4
    CHEXPERT DEMO.xlsx or .csv                      in the first one or beside the batches

The lists are also found a few folders deeper.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int8, Int32

from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.datasets.chexpert.demographics import find_demographics, read_races
from clip_cfr.extract.datasets.chexpert.list_files import UNKNOWN, ImageList, read_image_lists
from clip_cfr.extract.datasets.chexpert.patient_folders import find_patients
from clip_cfr.extract.datasets.common.find_files import find_file
from clip_cfr.extract.datasets.common.options import DatasetOptions, resolve_choice
from clip_cfr.extract.datasets.common.random_splits import (
    DEFAULT_SEED,
    draw_stratified_subjects,
    draw_subpopbench_splits,
)
from clip_cfr.extract.datasets.layouts.folder_tree import FolderTree
from clip_cfr.extract.datasets.layouts.search import find_published_file
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, Sentence, make_rows

OPTIONS = ("split_by", "seed")
FOLDERS = (
    "",
    "CheXpert-v1.0-small/",
    "chexpert/",
    "CheXpert-v1.0/",
    "CheXpert-v1.0 batch 1 (validate & csv)/",
)
DEMOGRAPHICS = "CHEXPERT DEMO.xlsx"
EXPECTED = (
    f"CheXpert-v1.0-small/ (train.csv, valid.csv, their images and, for race, {DEMOGRAPHICS}), or "
    "the folders of all batches"
)
FRACTIONS = (0.75, 0.10, 0.15)
SEXES = ("male", "female")
SEXES_AND_RACES = (
    "white male",
    "white female",
    "black male",
    "black female",
    "male of another race",
    "female of another race",
)


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Read CheXpert. Label 1 is an image without a finding; the attribute is sex and race.

    Without the demographics file the attribute is the sex alone. Images of patients whose sex is
    unknown, or who are not in that file, are dropped, as SubpopBench does. Splits of FRACTIONS are
    drawn at random, by patient or by image. A subject is a patient.

    Raises:
        OptionError: --split-by is neither `patient` nor `image`.
        ExtractError: a list or an image is missing, or a list is not valid.
    """
    split_by = resolve_choice("split_by", options.split_by, tuple(SPLITTERS))
    paths = [f"{name}train.csv" for name in FOLDERS]
    train = find_published_file(FolderTree(root), paths, EXPECTED)
    folder = train.path.parent
    lists = [train.path, find_file(folder, ["valid.csv"], EXPECTED)]
    patients = find_patients(folder)
    listed = read_image_lists(patients, lists, skip_missing=options.skip_missing)
    demographics = find_demographics(dict.fromkeys((folder, patients.root, root)))
    races = None if demographics is None else encode_races(demographics, listed.patients)
    images, attributes = select_known_attributes(listed, races)
    seed = DEFAULT_SEED if options.seed is None else options.seed
    splits = SPLITTERS[split_by](images, attributes, seed)
    names = SEXES if races is None else SEXES_AND_RACES
    return Manifest(
        dataset="chexpert",
        rows=make_rows(images.ids, images.labels, attributes, splits, images.patients),
        images=FileSource(patients.root, images.paths),
        class_names=("finding", "no finding"),
        attribute_names=names,
        class_prompts=(
            (Sentence("a chest x-ray with a finding."),),
            (Sentence("a chest x-ray with no finding."),),
        ),
        attribute_prompts=tuple((Sentence(f"a chest x-ray of a {name}."),) for name in names),
        warnings=(
            *train.warnings,
            *listed.warnings,
            *make_warnings(folder, len(listed.paths) - len(images.paths), races is None),
        ),
    )


def encode_races(path: Path, patients: Int32[np.ndarray, " n"]) -> Int32[np.ndarray, " n"]:
    """Return the race code of each row's patient by the demographics file: 0 to 2, -1 if absent.

    Args:
        path: the demographics file, see `read_races`.
        patients: number of each row's patient.

    Raises:
        ExtractError: the file is not valid.
    """
    races = read_races(path)
    return np.array([races.get(patient, UNKNOWN) for patient in patients.tolist()], np.int32)


def select_known_attributes(
    listed: ImageList, races: Int32[np.ndarray, " n"] | None
) -> tuple[ImageList, Int32[np.ndarray, " kept"]]:
    """Return the images whose patient's sex and race are known, and their attributes.

    An attribute is race * 2 + sex, an index into SEXES_AND_RACES; without races it is the sex.

    Args:
        listed: the images.
        races: race code of each image, -1 if unknown; None without a demographics file.

    Raises:
        ExtractError: no image is left.
    """
    races = np.zeros_like(listed.sexes) if races is None else races
    known = (listed.sexes != UNKNOWN) & (races != UNKNOWN)
    if not known.any():
        raise ExtractError(
            f"chexpert: the patient's sex or race is unknown for all {len(known)} images; "
            f"check that the lists and {DEMOGRAPHICS} belong together"
        )
    return listed.select(known), races[known] * 2 + listed.sexes[known]


def split_by_patient(
    images: ImageList, attributes: Int32[np.ndarray, " n"], seed: int
) -> Int8[np.ndarray, " n"]:
    """Draw splits that do not share patients, stratified by attribute and label.

    Args:
        images: the images.
        attributes: attribute of each image.
        seed: seed of the draw.

    Returns:
        0 train, 1 val, 2 test, for fractions FRACTIONS of the patients.
    """
    return draw_stratified_subjects(
        images.patients, attributes * 2 + images.labels, FRACTIONS, seed
    )


def split_by_image(
    images: ImageList, attributes: Int32[np.ndarray, " n"], seed: int
) -> Int8[np.ndarray, " n"]:
    """Draw SubpopBench's splits, which may share patients, stratified by attribute.

    Args:
        images: not used.
        attributes: attribute of each image.
        seed: seed of the draw.

    Returns:
        0 train, 1 val, 2 test, for fractions FRACTIONS of the images.

    Raises:
        ExtractError: there are too few images of an attribute.
    """
    try:
        return draw_subpopbench_splits(attributes, FRACTIONS, seed)
    except ValueError as error:
        raise ExtractError(
            f"chexpert: {len(attributes)} images are too few to split by image ({error}); "
            "use --split-by patient"
        ) from error


# Values of --split-by, the default first.
SPLITTERS = {"patient": split_by_patient, "image": split_by_image}


def make_warnings(folder: Path, num_dropped: int, sex_alone: bool) -> tuple[str, ...]:
    """Return up to two warnings: a missing demographics file, and dropped images.

    Args:
        folder: folder of the lists, for the message.
        num_dropped: number of dropped images.
        sex_alone: whether there is no demographics file.
    """
    warnings = []
    if sex_alone:
        warnings.append(
            f"chexpert: {folder / DEMOGRAPHICS} does not exist, so the attribute is the sex alone, "
            f"{len(SEXES)} values instead of {len(SEXES_AND_RACES)}"
        )
    if num_dropped:
        warnings.append(
            f"chexpert: dropped {count_noun(num_dropped, 'image')}, because the sex of the "
            f"patient is unknown or the patient is not in {DEMOGRAPHICS}"
        )
    return tuple(warnings)
