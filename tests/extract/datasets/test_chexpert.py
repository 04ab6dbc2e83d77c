import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from sklearn.model_selection import train_test_split

from clip_cfr.extract.errors import OptionError
from tests.extract.datasets import loading

load = partial(loading.load, "chexpert")
load_error = partial(loading.load_error, "chexpert")

NAME = "CheXpert-v1.0-small"
HEADER = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum\n"
RACES = ["White, non-Hispanic", "Black or African American", "Asian", None, "White", "Unknown"]


def make_image_path(patient: int, study: int, folder: str = "train") -> str:
    return f"{folder}/patient{patient:05d}/study{study}/view1_frontal.jpg"


def make_row(path: str, sex: str, no_finding: str) -> str:
    """Return a row of train.csv or valid.csv."""
    return f"{NAME}/{path},{sex},68,Frontal,AP,{no_finding},\n"


def write_demographics(folder: Path, entries: list[tuple], header=("PATIENT", "GENDER")) -> None:
    """Write the workbook as it is published; `entries` are patients and races."""
    book = openpyxl.Workbook()
    book.active.append([*header, "PRIMARY_RACE"])
    for name, race in entries:
        book.active.append([name, "Male", race])
    book.save(folder / "CHEXPERT DEMO.xlsx")


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    """The parent folder of CheXpert: six patients, of whom two are in valid.csv."""
    folder = tmp_path / NAME
    train = [
        make_image_path(1, 1),
        make_image_path(1, 2),
        make_image_path(2, 1),
        make_image_path(3, 1),
        make_image_path(4, 1),
    ]
    valid = [make_image_path(5, 1, "valid"), make_image_path(6, 1, "valid")]
    write_images(folder, train + valid)
    (folder / "train.csv").write_text(
        HEADER
        + make_row(train[0], "Female", "1.0")
        + make_row(train[1], "Female", "")
        + make_row(train[2], "Male", "")
        + make_row(train[3], "Male", "1.0")
        + make_row(train[4], "Unknown", "1.0")
    )
    (folder / "valid.csv").write_text(
        HEADER + make_row(valid[0], "Male", "0.0") + make_row(valid[1], "Female", "1.0")
    )
    return tmp_path


@pytest.fixture
def with_demographics(root: Path) -> Path:
    names = [f"patient{number:05d}" for number in range(1, 7)]
    write_demographics(root / NAME, list(zip(names, RACES, strict=True)))
    return root


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
    assert manifest.warnings[:1] == (
        "chexpert: dropped 1 image, because the sex of the patient is unknown or the patient is "
        "not in CHEXPERT DEMO.xlsx",
    )
    assert manifest.images.read(0) == jpeg


def test_without_the_workbook_the_attribute_is_sex(root: Path):
    manifest = load(root)
    assert manifest.rows.attributes.tolist() == [1, 1, 0, 0, 0, 1]
    assert manifest.attribute_names == ("male", "female")
    assert manifest.warnings[0] == (
        f"chexpert: {root}/{NAME}/CHEXPERT DEMO.xlsx does not exist, so the attribute is the sex "
        "alone, 2 values instead of 6"
    )


@pytest.mark.parametrize("name", [f"{NAME}/", "chexpert/"])
def test_finds_the_folder(with_demographics: Path, name: str):
    expected = load(with_demographics).sha256()
    (with_demographics / NAME).rename(with_demographics / name)
    assert load(with_demographics).sha256() == expected
    assert load(with_demographics / name).sha256() == expected


BATCH_1 = "CheXpert-v1.0 batch 1 (validate & csv)"
BATCH_2 = "CheXpert-v1.0 batch 2 (train 1)"
BATCH_3 = "CheXpert-v1.0 batch 3 (train 2)"


def move_into_batches(root: Path, first: str, second: str, third: str) -> None:
    """Move CheXpert into the folders that it is downloaded in today, named as given."""
    whole = root / NAME
    train = whole / "train"
    for name, patients in ((second, ("patient00001", "patient00003")), (third, ())):
        (root / name).mkdir(parents=True)
        for patient in patients or sorted(each.name for each in train.iterdir()):
            (train / patient).rename(root / name / patient)
    train.rmdir()
    whole.rename(root / first)


@pytest.mark.parametrize(
    ("second", "third"),
    [
        (BATCH_2, BATCH_3),
        ("chexpert_batch_2_train", "chexpert_batch_3_train"),
        (f"{BATCH_2}/train", f"{BATCH_3}/{BATCH_3}"),
    ],
)
def test_reads_the_batches(with_demographics: Path, second: str, third: str, jpeg: bytes):
    expected = load(with_demographics)
    move_into_batches(with_demographics, BATCH_1, second, third)
    for root in (with_demographics, with_demographics / BATCH_1):
        manifest = load(root)
        assert manifest.sha256() == expected.sha256()
        assert manifest.warnings == expected.warnings
        assert manifest.images.root == with_demographics
        assert manifest.images.paths == (
            f"{second}/patient00001/study1/view1_frontal.jpg",
            f"{second}/patient00001/study2/view1_frontal.jpg",
            f"{third}/patient00002/study1/view1_frontal.jpg",
            f"{second}/patient00003/study1/view1_frontal.jpg",
            f"{BATCH_1}/valid/patient00005/study1/view1_frontal.jpg",
            f"{BATCH_1}/valid/patient00006/study1/view1_frontal.jpg",
        )
        assert manifest.images.read(2) == jpeg


def test_names_the_batches_that_lack_a_patient(root: Path):
    move_into_batches(root, BATCH_1, BATCH_2, BATCH_3)
    (root / BATCH_3).rename(root / "unpacked later")
    assert load_error(root) == (
        f"ROOT/{BATCH_1}/train.csv, row 4: patient00002 is in none of the batches {BATCH_1}, "
        f"{BATCH_2} in ROOT (2 of 5 images are missing); unpack the other batches there, or keep "
        "their rows as not valid with --on-error skip"
    )
    assert len(load(root, skip_missing=True).rows) == 6


def test_finds_the_lists_in_a_deeper_folder(with_demographics: Path):
    expected = load(with_demographics)
    folder = with_demographics / "data" / "archive"
    folder.mkdir(parents=True)
    (with_demographics / NAME).rename(folder / "x-rays")
    manifest = load(with_demographics)
    assert manifest.sha256() == expected.sha256()
    assert manifest.warnings[0] == (
        f"{with_demographics} does not contain train.csv itself; using {folder}/x-rays/train.csv"
    )


@pytest.mark.parametrize(
    "name", [f"{NAME}/CHEXPERT DEMO.csv", "CHEXPERT DEMO.csv", f"{NAME}/CheXpert_Demo.csv"]
)
def test_reads_races_from_a_csv_file(with_demographics: Path, name: str):
    expected = load(with_demographics)
    (with_demographics / NAME / "CHEXPERT DEMO.xlsx").unlink()
    rows = [f'patient{i:05d},Male,"{race or ""}"' for i, race in enumerate(RACES, 1)]
    (with_demographics / name).write_text("\n".join(["PATIENT,GENDER,PRIMARY_RACE", *rows]))
    manifest = load(with_demographics)
    assert manifest.sha256() == expected.sha256()
    assert manifest.attribute_names == expected.attribute_names


def test_names_the_row_of_a_csv_file_with_two_races(root: Path):
    (root / NAME / "CHEXPERT DEMO.csv").write_text(
        "PATIENT,PRIMARY_RACE\npatient00001,White\npatient00001,Asian\n"
    )
    assert load_error(root) == (
        f"ROOT/{NAME}/CHEXPERT DEMO.csv, row 3: patient00001 has another race in an earlier row, "
        "expected one race for each patient; remove one of the rows"
    )


@pytest.fixture
def many(tmp_path: Path, write_images) -> Path:
    """A hundred patients with four images each."""
    paths = [make_image_path(patient, study) for patient in range(100) for study in range(4)]
    write_images(tmp_path, [*paths, make_image_path(100, 0, "valid")])
    lines = [
        make_row(path, "Male" if i % 8 < 4 else "Female", "1.0" if i % 3 else "")
        for i, path in enumerate(paths)
    ]
    (tmp_path / "train.csv").write_text(HEADER + "".join(lines))
    (tmp_path / "valid.csv").write_text(
        HEADER + make_row(make_image_path(100, 0, "valid"), "Male", "1.0")
    )
    return tmp_path


def test_no_patient_is_in_two_splits(many: Path):
    rows = load(many).rows
    for patient in np.unique(rows.subjects):
        assert len(set(rows.splits[rows.subjects == patient])) == 1
    counts = np.bincount(rows.splits) / len(rows)
    assert counts == pytest.approx([0.75, 0.10, 0.15], abs=0.03)
    assert load(many, split_by="patient").sha256() == load(many).sha256()
    assert load(many, seed=1).sha256() != load(many).sha256()


def test_splits_by_image_are_those_of_subpopbench(many: Path):
    rows = load(many, split_by="image").rows
    index = np.arange(len(rows))
    rest, test = train_test_split(index, test_size=0.15, random_state=42, stratify=rows.attributes)
    _, val = train_test_split(
        rest, test_size=0.1 / (1 - 0.15), random_state=42, stratify=rows.attributes[rest]
    )
    assert set(np.flatnonzero(rows.splits == 2)) == set(test)
    assert set(np.flatnonzero(rows.splits == 1)) == set(val)


def test_rejects_too_few_images_to_split_by_image(root: Path):
    message = load_error(root, split_by="image")
    assert message.startswith("chexpert: 6 images are too few to split by image (")
    assert message.endswith("); use --split-by patient")


def test_rejects_another_way_to_split(root: Path):
    assert load_error(root, OptionError, split_by="study") == (
        "--split-by is 'study', expected patient or image"
    )


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
            f"ROOT/{NAME}/train.csv, row 4: the image "
            f"ROOT/{NAME}/train/patient2x/study1/view1_frontal.jpg does not exist "
            "(1 of 5 images is missing); complete the folder, correct --root, shorten the list, "
            "or keep their rows as not valid with --on-error skip",
        ),
        (
            "No Finding",
            "Finding",
            f"ROOT/{NAME}/train.csv has no column No Finding, found the columns Path, Sex, "
            "Age, Frontal/Lateral, AP/PA, Finding, Enlarged Cardiomediastinum; "
            "rename or add the column",
        ),
    ],
)
def test_names_the_fault_of_a_list(root: Path, old: str, new: str, message: str):
    path = root / NAME / "train.csv"
    path.write_text(path.read_text().replace(old, new))
    assert load_error(root) == message


def test_names_a_path_without_a_patient(root: Path, write_images):
    path = root / NAME / "train.csv"
    write_images(root / NAME, ["train/a.jpg"])
    path.write_text(HEADER + make_row("train/a.jpg", "Male", ""))
    assert load_error(root) == (
        f"ROOT/{NAME}/train.csv, row 2: the image path 'train/a.jpg' contains no patient, "
        "expected a path such as train/patient00001/study1/view1_frontal.jpg"
    )


def test_rejects_lists_with_the_same_images(root: Path):
    (root / NAME / "valid.csv").write_text((root / NAME / "train.csv").read_text())
    assert load_error(root) == (
        f"ROOT/{NAME}/train.csv and ROOT/{NAME}/valid.csv contain the same images, "
        "expected each image in one list; download the lists again"
    )


EXPECTED = (
    f"{NAME}/ (train.csv, valid.csv, their images and, for race, CHEXPERT DEMO.xlsx), or the "
    "folders of all batches"
)


def test_one_batch_alone_is_refused(root: Path):
    move_into_batches(root, BATCH_1, BATCH_2, BATCH_3)
    assert load_error(root / BATCH_2) == (
        f"ROOT contains none of train.csv; set --root to a folder that contains {EXPECTED}"
    )


def test_names_a_missing_list(root: Path):
    (root / NAME / "valid.csv").unlink()
    assert load_error(root / NAME) == (
        f"ROOT contains none of valid.csv; set --root to a folder that contains {EXPECTED}"
    )


@pytest.mark.parametrize(
    ("entries", "header", "message"),
    [
        (
            [("patient00001", "White"), ("patient00001", "Asian")],
            ("PATIENT", "GENDER"),
            ", row 3: patient00001 has another race in an earlier row, expected one race for each "
            "patient; remove one of the rows",
        ),
        (
            [(17, "White")],
            ("PATIENT", "GENDER"),
            ", row 2: PATIENT is '17', expected a name such as patient00001",
        ),
        (
            [("patient00001", "White")],
            ("ID", "GENDER"),
            " has no columns PATIENT and PRIMARY_RACE, found the columns ID, GENDER, PRIMARY_RACE; "
            "download it again",
        ),
    ],
)
def test_names_the_fault_of_the_workbook(root: Path, entries: list, header: tuple, message: str):
    write_demographics(root / NAME, entries, header)
    assert load_error(root) == f"ROOT/{NAME}/CHEXPERT DEMO.xlsx{message}"


@pytest.mark.parametrize("length", [0, 100, 2000])
def test_rejects_a_damaged_workbook(with_demographics: Path, length: int):
    path = with_demographics / NAME / "CHEXPERT DEMO.xlsx"
    path.write_bytes(path.read_bytes()[:length])
    message = load_error(with_demographics)
    assert message.startswith(f"ROOT/{NAME}/CHEXPERT DEMO.xlsx is not a valid Excel workbook (")
    assert message.endswith("); save it again, or download it again")


def test_rejects_a_workbook_of_other_patients(root: Path):
    write_demographics(root / NAME, [("patient99999", "White")])
    assert load_error(root) == (
        "chexpert: the patient's sex or race is unknown for all 7 images; "
        "check that the lists and CHEXPERT DEMO.xlsx belong together"
    )


def test_names_the_missing_package_that_reads_workbooks(with_demographics: Path):
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
        f"clip_cfr.extract.errors.ExtractError: {with_demographics}/{NAME}/CHEXPERT DEMO.xlsx is "
        "an Excel workbook: the package openpyxl is missing; install it with: "
        "pip install 'clip-cfr[xlsx]'"
    )
