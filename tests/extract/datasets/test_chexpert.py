import subprocess
import sys
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from sklearn.model_selection import train_test_split

from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError, OptionError

NAME = "CheXpert-v1.0-small"
HEADER = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum\n"
RACES = ["White, non-Hispanic", "Black or African American", "Asian", None, "White", "Unknown"]


def image(patient: int, study: int, part: str = "train") -> str:
    return f"{part}/patient{patient:05d}/study{study}/view1_frontal.jpg"


def row(path: str, sex: str, no_finding: str) -> str:
    return f"{NAME}/{path},{sex},68,Frontal,AP,{no_finding},\n"


def write_demographics(folder: Path, entries: list[tuple], header=("PATIENT", "GENDER")) -> None:
    """The workbook as it is published; `entries` are patients and races."""
    book = openpyxl.Workbook()
    book.active.append([*header, "PRIMARY_RACE"])
    for name, race in entries:
        book.active.append([name, "Male", race])
    book.save(folder / "CHEXPERT DEMO.xlsx")


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    """The parent folder of CheXpert: six patients, of whom two are in valid.csv."""
    folder = tmp_path / NAME
    train = [image(1, 1), image(1, 2), image(2, 1), image(3, 1), image(4, 1)]
    valid = [image(5, 1, "valid"), image(6, 1, "valid")]
    write_images(folder, train + valid)
    (folder / "train.csv").write_text(
        HEADER
        + row(train[0], "Female", "1.0")
        + row(train[1], "Female", "")
        + row(train[2], "Male", "")
        + row(train[3], "Male", "1.0")
        + row(train[4], "Unknown", "1.0")
    )
    (folder / "valid.csv").write_text(
        HEADER + row(valid[0], "Male", "0.0") + row(valid[1], "Female", "1.0")
    )
    return tmp_path


@pytest.fixture
def with_demographics(root: Path) -> Path:
    names = [f"patient{number:05d}" for number in range(1, 7)]
    write_demographics(root / NAME, list(zip(names, RACES, strict=True)))
    return root


def load(root: Path, **options):
    return load_dataset("chexpert", root, DatasetOptions(**options))


def refusal(root: Path, **options) -> str:
    with pytest.raises(ExtractError) as caught:
        load(root, **options)
    return str(caught.value).replace(str(root), "ROOT")


def test_reads_sex_and_race(with_demographics: Path, jpeg: bytes):
    manifest = load(with_demographics)
    assert manifest.rows.ids == (
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00001/study2/view1_frontal.jpg",
        "train/patient00002/study1/view1_frontal.jpg",
        "train/patient00003/study1/view1_frontal.jpg",
        "valid/patient00005/study1/view1_frontal.jpg",
        "valid/patient00006/study1/view1_frontal.jpg",
    )
    assert manifest.rows.labels.tolist() == [1, 0, 0, 1, 0, 1]
    assert manifest.rows.attributes.tolist() == [1, 1, 2, 4, 0, 5]
    assert manifest.rows.subjects.tolist() == [1, 1, 2, 3, 5, 6]
    assert manifest.class_names == ("finding", "no finding")
    assert manifest.class_prompts == (
        ("a chest x-ray with a finding.",),
        ("a chest x-ray with no finding.",),
    )
    assert manifest.attribute_names == (
        "white male",
        "white female",
        "black male",
        "black female",
        "male of another race",
        "female of another race",
    )
    assert manifest.warnings == (
        "chexpert: 1 images are left out, "
        "as their patient's sex or entry in CHEXPERT DEMO.xlsx is missing",
    )
    assert manifest.images.read(0) == jpeg


def test_without_demographics_the_attribute_is_sex(root: Path):
    manifest = load(root)
    assert manifest.rows.attributes.tolist() == [1, 1, 0, 0, 0, 1]
    assert manifest.attribute_names == ("male", "female")
    assert manifest.warnings[0] == (
        f"chexpert: no {root}/{NAME}/CHEXPERT DEMO.xlsx, so the attribute is sex alone, "
        "2 values instead of 6"
    )


@pytest.mark.parametrize("name", [f"{NAME}/", "chexpert/"])
def test_finds_the_folder(with_demographics: Path, name: str):
    expected = load(with_demographics).sha256()
    (with_demographics / NAME).rename(with_demographics / name)
    assert load(with_demographics).sha256() == expected
    assert load(with_demographics / name).sha256() == expected


@pytest.fixture
def many(tmp_path: Path, write_images) -> Path:
    """A hundred patients with four images each."""
    paths = [image(patient, study) for patient in range(100) for study in range(4)]
    write_images(tmp_path, [*paths, image(100, 0, "valid")])
    lines = [
        row(path, "Male" if i % 8 < 4 else "Female", "1.0" if i % 3 else "")
        for i, path in enumerate(paths)
    ]
    (tmp_path / "train.csv").write_text(HEADER + "".join(lines))
    (tmp_path / "valid.csv").write_text(HEADER + row(image(100, 0, "valid"), "Male", "1.0"))
    return tmp_path


def test_no_patient_is_in_two_splits(many: Path):
    rows = load(many).rows
    for patient in np.unique(rows.subjects):
        assert len(set(rows.splits[rows.subjects == patient])) == 1
    counts = np.bincount(rows.splits) / len(rows)
    assert counts == pytest.approx([0.75, 0.10, 0.15], abs=0.03)
    assert load(many, split_by="patient").sha256() == load(many).sha256()
    assert load(many, seed=1).sha256() != load(many).sha256()


def test_splits_by_image_as_subpopbench_does(many: Path):
    rows = load(many, split_by="image").rows
    index = np.arange(len(rows))
    rest, test = train_test_split(index, test_size=0.15, random_state=42, stratify=rows.attributes)
    _, val = train_test_split(
        rest, test_size=0.1 / (1 - 0.15), random_state=42, stratify=rows.attributes[rest]
    )
    assert set(np.flatnonzero(rows.splits == 2)) == set(test)
    assert set(np.flatnonzero(rows.splits == 1)) == set(val)


def test_too_few_images_to_split_by_image(root: Path):
    message = refusal(root, split_by="image")
    assert message.startswith("chexpert: 6 images are too few to split by image (")
    assert message.endswith("); use --split-by patient")


def test_refuses_another_way_to_split(root: Path):
    with pytest.raises(OptionError) as caught:
        load(root, split_by="study")
    assert str(caught.value) == "--split-by is 'study', expected patient or image"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "Female,68,Frontal,AP,1.0",
            "Female,68,Frontal,AP,-1.0",
            f"ROOT/{NAME}/train.csv, row 2: No Finding is '-1.0', "
            "expected one of nothing, 0, 0.0, 1, 1.0",
        ),
        (
            f"{NAME}/train/patient00002/study1/",
            f"{NAME}/train/patient2x/study1/",
            f"ROOT/{NAME}/train.csv, row 4: no image "
            f"ROOT/{NAME}/train/patient2x/study1/view1_frontal.jpg (1 of 5 images are missing); "
            "complete the folder, or check --root",
        ),
        (
            f"{NAME}/train/patient00002/study1/",
            f"{NAME}//train/patient00002/study1/",
            f"ROOT/{NAME}/train.csv, row 4: the path "
            "'/train/patient00002/study1/view1_frontal.jpg' leads out of the root, "
            "expected one that is relative to it",
        ),
        (
            "No Finding",
            "Finding",
            f"ROOT/{NAME}/train.csv has no column No Finding; its columns are Path, Sex, Age, "
            "Frontal/Lateral, AP/PA, Finding, Enlarged Cardiomediastinum",
        ),
    ],
)
def test_names_what_is_wrong_in_a_list(root: Path, old: str, new: str, message: str):
    path = root / NAME / "train.csv"
    path.write_text(path.read_text().replace(old, new))
    assert refusal(root) == message


def test_a_path_without_a_patient(root: Path, write_images):
    path = root / NAME / "train.csv"
    write_images(root / NAME, ["train/a.jpg"])
    path.write_text(HEADER + row("train/a.jpg", "Male", ""))
    assert refusal(root) == (
        f"ROOT/{NAME}/train.csv, row 2: the path 'train/a.jpg' names no patient, "
        "expected train/patient00001/study1/view1_frontal.jpg or the like"
    )


def test_lists_that_share_images(root: Path):
    (root / NAME / "valid.csv").write_text((root / NAME / "train.csv").read_text())
    assert refusal(root) == (
        f"ROOT/{NAME}/train.csv and ROOT/{NAME}/valid.csv share images, expected each once"
    )


EXPECTED = f"{NAME}/ (train.csv, valid.csv, their images and, for race, CHEXPERT DEMO.xlsx)"


def test_a_missing_list(root: Path):
    (root / NAME / "valid.csv").unlink()
    assert refusal(root / NAME) == (
        f"ROOT has none of valid.csv; give --root a folder with {EXPECTED}"
    )


@pytest.mark.parametrize(
    ("entries", "header", "message"),
    [
        (
            [("patient00001", "White"), ("patient00001", "Asian")],
            ("PATIENT", "GENDER"),
            ", row 3: patient00001 stands twice, with two races",
        ),
        ([(17, "White")], ("PATIENT", "GENDER"), ", row 2: PATIENT is 17, expected patient00001"),
        (
            [("patient00001", "White")],
            ("ID", "GENDER"),
            " has no columns PATIENT and PRIMARY_RACE; its columns are ID, GENDER, PRIMARY_RACE",
        ),
    ],
)
def test_names_what_is_wrong_in_the_demographics(
    root: Path, entries: list, header: tuple, message: str
):
    write_demographics(root / NAME, entries, header)
    assert refusal(root) == f"ROOT/{NAME}/CHEXPERT DEMO.xlsx{message}"


@pytest.mark.parametrize("length", [0, 100, 2000])
def test_demographics_that_are_damaged(with_demographics: Path, length: int):
    path = with_demographics / NAME / "CHEXPERT DEMO.xlsx"
    path.write_bytes(path.read_bytes()[:length])
    message = refusal(with_demographics)
    assert message.startswith(f"ROOT/{NAME}/CHEXPERT DEMO.xlsx is no Excel workbook (")
    assert message.endswith("); download it again")


def test_demographics_of_other_patients(root: Path):
    write_demographics(root / NAME, [("patient99999", "White")])
    assert refusal(root) == (
        "none of CheXpert's 7 images has a patient of known sex and race; "
        "check that the lists and CHEXPERT DEMO.xlsx belong together"
    )


def test_names_the_package_that_reads_demographics(with_demographics: Path):
    code = (
        "import sys; sys.modules['openpyxl'] = None\n"
        "from pathlib import Path\n"
        "from clip_cfr.extract.datasets import load_dataset\n"
        "from clip_cfr.extract.datasets.common.options import DatasetOptions\n"
        f"load_dataset('chexpert', Path({str(with_demographics)!r}), DatasetOptions())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stderr.splitlines()[-1] == (
        "clip_cfr.extract.errors.ExtractError: reading "
        f"{with_demographics}/{NAME}/CHEXPERT DEMO.xlsx "
        "needs openpyxl; install it with: pip install 'clip-cfr[extract]'"
    )
