"""CheXpert (Irvin et al. 2019): is there no finding, and the patient's sex and race."""

from pathlib import Path

import numpy as np
from jaxtyping import Int8, Int32

from clip_cfr.extract.datasets.chexpert.demographics import read_races
from clip_cfr.extract.datasets.chexpert.list_files import UNKNOWN, Images, read_images
from clip_cfr.extract.datasets.common.image_paths import find_file
from clip_cfr.extract.datasets.common.options import DatasetOptions, chosen
from clip_cfr.extract.datasets.common.random_splits import (
    SEED,
    draw_as_subpopbench,
    draw_by_subject,
)
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import FileSource
from clip_cfr.extract.manifest.manifest import Manifest, make_rows

OPTIONS = ("split_by", "seed")
FOLDERS = ("", "CheXpert-v1.0-small/", "chexpert/", "CheXpert-v1.0/")
DEMOGRAPHICS = "CHEXPERT DEMO.xlsx"
EXPECTED = (
    f"CheXpert-v1.0-small/ (train.csv, valid.csv, their images and, for race, {DEMOGRAPHICS})"
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
    """CheXpert; label 1 is an image without a finding, the attribute is sex and race.

    Without the demographics file the attribute is sex alone. Images of patients whose sex, or
    whose entry in that file, is missing are left out, as SubpopBench does.

    Raises:
        OptionError: --split-by is neither patient nor image.
        ExtractError: a list or an image is missing, or a list holds what it should not.
    """
    split_by = chosen("split_by", options.split_by, tuple(DRAWS))
    folder = find_file(root, [f"{name}train.csv" for name in FOLDERS], EXPECTED).parent
    listed = read_images(folder, [folder / "train.csv", find_file(folder, ["valid.csv"], EXPECTED)])
    races = patient_races(folder / DEMOGRAPHICS, listed.patients)
    images, attributes = with_attributes(listed, races)
    seed = SEED if options.seed is None else options.seed
    splits = DRAWS[split_by](images, attributes, seed)
    names = SEXES if races is None else SEXES_AND_RACES
    return Manifest(
        dataset="chexpert",
        rows=make_rows(images.paths, images.labels, attributes, splits, images.patients),
        images=FileSource(folder, images.paths),
        class_names=("finding", "no finding"),
        attribute_names=names,
        class_prompts=(("a chest x-ray with a finding.",), ("a chest x-ray with no finding.",)),
        attribute_prompts=tuple((f"a chest x-ray of a {name}.",) for name in names),
        warnings=warnings(folder, len(listed.paths) - len(images.paths), races is None),
    )


def patient_races(path: Path, patients: Int32[np.ndarray, " n"]) -> Int32[np.ndarray, " n"] | None:
    """The race of each row's patient, -1 where the file has no entry; None without the file."""
    if not path.is_file():
        return None
    races = read_races(path)
    return np.array([races.get(patient, UNKNOWN) for patient in patients.tolist()], np.int32)


def with_attributes(
    listed: Images, races: Int32[np.ndarray, " n"] | None
) -> tuple[Images, Int32[np.ndarray, " kept"]]:
    """The images whose attribute is known, and their attributes: race * 2 + sex."""
    races = np.zeros_like(listed.sexes) if races is None else races
    kept = (listed.sexes != UNKNOWN) & (races != UNKNOWN)
    if not kept.any():
        raise ExtractError(
            f"none of CheXpert's {len(kept)} images has a patient of known sex and race; "
            f"check that the lists and {DEMOGRAPHICS} belong together"
        )
    return listed.only(kept), races[kept] * 2 + listed.sexes[kept]


def draw_by_patient(
    images: Images, attributes: Int32[np.ndarray, " n"], seed: int
) -> Int8[np.ndarray, " n"]:
    """Splits in which no patient is in two, stratified by attribute and label."""
    return draw_by_subject(images.patients, attributes * 2 + images.labels, FRACTIONS, seed)


def draw_by_image(
    images: Images, attributes: Int32[np.ndarray, " n"], seed: int
) -> Int8[np.ndarray, " n"]:
    """Splits as SubpopBench draws them: images of one patient may be in several."""
    try:
        return draw_as_subpopbench(attributes, FRACTIONS, seed)
    except ValueError as error:
        raise ExtractError(
            f"chexpert: {len(attributes)} images are too few to split by image ({error}); "
            "use --split-by patient"
        ) from error


DRAWS = {"patient": draw_by_patient, "image": draw_by_image}


def warnings(folder: Path, num_left_out: int, sex_alone: bool) -> tuple[str, ...]:
    """What to know about the rows and attributes."""
    found = []
    if sex_alone:
        found.append(
            f"chexpert: no {folder / DEMOGRAPHICS}, so the attribute is sex alone, "
            f"{len(SEXES)} values instead of {len(SEXES_AND_RACES)}"
        )
    if num_left_out:
        found.append(
            f"chexpert: {num_left_out} images are left out, "
            f"as their patient's sex or entry in {DEMOGRAPHICS} is missing"
        )
    return tuple(found)
