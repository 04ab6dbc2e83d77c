from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from clip_cfr.extract.datasets.celeba.attribute_phrases import PHRASES
from clip_cfr.extract.errors import OptionError
from tests.extract.datasets import loading

load = partial(loading.load, "celeba")
load_error = partial(loading.load_error, "celeba")

NAMES = tuple(PHRASES)
IMAGES = [f"{number:06d}.jpg" for number in range(1, 6)]
# Blond_Hair, Male, Smiling and the split of each image.
ROWS = [("1", "-1", "1", 0), ("-1", "1", "1", 0), ("-1", "-1", "-1", 1), ("1", "1", "1", 2)]
ROWS.append(("1", "1", "-1", 0))


def make_fields(row: tuple) -> list[str]:
    """Return the forty values of a row."""
    values = dict(zip(("Blond_Hair", "Male", "Smiling"), row[:3], strict=True))
    return [values.get(name, "-1") for name in NAMES]


def write_original(folder: Path) -> None:
    """Write the two lists as CelebA's authors publish them."""
    pairs = list(zip(IMAGES, ROWS, strict=True))
    lines = [f"{name}  {' '.join(make_fields(row))}" for name, row in pairs]
    head = [str(len(IMAGES)), " ".join(NAMES) + " "]
    (folder / "list_attr_celeba.txt").write_text("\n".join(head + lines) + "\n")
    lines = [f"{name} {row[3]}" for name, row in pairs]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")


def write_official_folders(folder: Path) -> None:
    """Write the folders of the authors' archive."""
    for name, file in (("Anno", "list_attr_celeba.txt"), ("Eval", "list_eval_partition.txt")):
        (folder / name).mkdir()
        write_original(folder / name)
        for other in {"list_attr_celeba.txt", "list_eval_partition.txt"} - {file}:
            (folder / name / other).unlink()
    (folder / "Img").mkdir()
    (folder / "img_align_celeba").rename(folder / "Img" / "img_align_celeba")


def write_separated(folder: Path, separator: str, end: str) -> None:
    """Write the two lists as .csv files with complete headers."""
    rows = [["image_id", *NAMES]]
    rows += [[name, *make_fields(row)] for name, row in zip(IMAGES, ROWS, strict=True)]
    text = "".join(separator.join(row) + end for row in rows)
    (folder / "list_attr_celeba.csv").write_bytes(text.encode())
    rows = [["image_id", "partition"]]
    rows += [[name, str(row[3])] for name, row in zip(IMAGES, ROWS, strict=True)]
    text = "".join(separator.join(row) + end for row in rows)
    (folder / "list_eval_partition.csv").write_bytes(text.encode())


def write_original_named_csv(folder: Path) -> None:
    """Write the authors' lists under names that end with .csv."""
    write_original(folder)
    for name in ("list_attr_celeba", "list_eval_partition"):
        (folder / f"{name}.txt").rename(folder / f"{name}.csv")


def write_kaggle(folder: Path) -> None:
    """Write Kaggle's lists, beside a nested folder of images."""
    write_separated(folder, ",", "\r\n")
    (folder / "img_align_celeba").rename(folder / "inner")
    (folder / "img_align_celeba").mkdir()
    (folder / "inner").rename(folder / "img_align_celeba" / "img_align_celeba")


def write_group_dro(folder: Path) -> None:
    """Write group DRO's folder `data`."""
    (folder / "data").mkdir()
    write_separated(folder / "data", ",", "\n")
    (folder / "img_align_celeba").rename(folder / "data" / "img_align_celeba")


def write_pandas(folder: Path) -> None:
    """Write the lists as pandas does: the column of the index has no name."""
    write_separated(folder, ",", "\n")
    for name in ("list_attr_celeba", "list_eval_partition"):
        path = folder / f"{name}.csv"
        path.write_text(path.read_text().removeprefix("image_id"))


def write_bare_partitions(folder: Path) -> None:
    """Write a list of partitions with commas and without a header."""
    write_separated(folder, ",", "\n")
    path = folder / "list_eval_partition.csv"
    path.write_text(path.read_text().partition("\n")[2])


def write_capitals(folder: Path) -> None:
    """Write Kaggle's lists under names in another case."""
    write_separated(folder, ",", "\n")
    for name in ("list_attr_celeba.csv", "list_eval_partition.csv"):
        (folder / name).rename(folder / name.replace("celeba", "CelebA").replace("list", "List"))


def write_pandas_index(folder: Path) -> None:
    """Write the lists with a column that counts the rows in front."""
    write_separated(folder, ",", "\n")
    for name in ("list_attr_celeba", "list_eval_partition"):
        lines = (folder / f"{name}.csv").read_text().splitlines()
        numbered = [f"{number},{line}" for number, line in enumerate(lines[1:])]
        text = "\n".join([f",{lines[0]}", *numbered])
        (folder / f"{name}.csv").write_text(text)


def write_with_splits(folder: Path, name: str, column: str) -> None:
    """Write one list of all attributes with a column of splits, as JTT does."""
    lines = [",".join(["image_id", *NAMES, column])]
    for image, row in zip(IMAGES, ROWS, strict=True):
        split = ("train", "val", "test")[row[3]] if column == "split" else str(row[3])
        lines.append(",".join([image, *make_fields(row), split]))
    (folder / name).write_text("\n".join(lines) + "\n")


def write_merged(folder: Path) -> None:
    """Write JTT's folder `data`."""
    (folder / "data").mkdir()
    write_with_splits(folder / "data", "metadata.csv", "split")
    (folder / "img_align_celeba").rename(folder / "data" / "img_align_celeba")


def write_metadata(folder: Path, name: str, header: str, prefix: str) -> None:
    """Write a metadata file, which has blond hair and male only."""
    lines = [
        f"{number},{prefix}{image},{row[3]},{int(row[0] == '1')},{int(row[1] == '1')}"
        for number, (image, row) in enumerate(zip(IMAGES, ROWS, strict=True), start=1)
    ]
    (folder / name).write_text("\n".join([header, *lines]) + "\n")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "original": write_original,
    "official folders": write_official_folders,
    "commas": lambda folder: write_separated(folder, ",", "\n"),
    "spaces named csv": lambda folder: write_separated(folder, " ", "\n"),
    "original named csv": write_original_named_csv,
    "kaggle": write_kaggle,
    "group dro": write_group_dro,
    "semicolons": lambda folder: write_separated(folder, ";", "\n"),
    "pandas": write_pandas,
    "partitions without a header": write_bare_partitions,
    "names in capitals": write_capitals,
    "pandas with an index": write_pandas_index,
    "jtt": write_merged,
    "attributes with splits": lambda folder: write_with_splits(
        folder, "list_attr_celeba.csv", "partition"
    ),
    "subpopbench": lambda folder: write_metadata(
        folder, "metadata_celeba.csv", "id,filename,split,y,a", ""
    ),
    "dfr": lambda folder: write_metadata(
        folder, "metadata.csv", "img_id,img_filename,split,y,place", "img_align_celeba/"
    ),
}


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    write_images(tmp_path / "img_align_celeba", IMAGES)
    return tmp_path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_every_layout(root: Path, layout: str, jpeg: bytes):
    LAYOUTS[layout](root)
    manifest = load(root)
    assert manifest.rows.ids == tuple(IMAGES)
    assert manifest.rows.labels.tolist() == [1, 0, 0, 1, 1]
    assert manifest.rows.attributes.tolist() == [0, 1, 0, 1, 1]
    assert manifest.rows.splits.tolist() == [0, 0, 1, 2, 0]
    assert manifest.images.read(4) == jpeg
    assert not [warning for warning in manifest.warnings if "published counts" not in warning]


def test_the_default_attributes_have_names_and_prompts(root: Path):
    write_original(root)
    manifest = load(root)
    assert manifest.class_names == ("dark hair", "blond hair")
    assert manifest.class_prompts == (
        ("a photo of a celebrity with dark hair.",),
        ("a photo of a celebrity with blond hair.",),
    )
    assert manifest.attribute_names == ("a woman", "a man")
    assert manifest.warnings[0] == (
        "celeba: train has 0/1/1/1 rows, the published counts are 71629/66874/22880/1387"
    )


def test_any_two_attributes_can_be_chosen(root: Path):
    write_original(root)
    manifest = load(root, target="Smiling", spurious="Blond_Hair")
    assert manifest.rows.labels.tolist() == [1, 1, 0, 1, 0]
    assert manifest.rows.attributes.tolist() == [1, 0, 0, 1, 1]
    assert manifest.class_names == ("not smiling", "smiling")
    assert manifest.class_prompts[0] == ("a photo of a celebrity who is not smiling.",)
    assert manifest.attribute_names == ("dark hair", "blond hair")
    assert manifest.warnings == (
        "celeba: train has 3 rows, the published counts are 162770",
        "celeba: val has 1 row, the published counts are 19867",
        "celeba: test has 1 row, the published counts are 19962",
    )


@pytest.mark.parametrize("layout", ["jtt", "attributes with splits", "pandas"])
def test_attributes_of_every_list_can_be_chosen(root: Path, layout: str):
    LAYOUTS[layout](root)
    rows = load(root, target="smiling", spurious="blond hair").rows
    assert rows.labels.tolist() == [1, 1, 0, 1, 0]
    assert rows.attributes.tolist() == [1, 0, 0, 1, 1]
    assert rows.splits.tolist() == [0, 0, 1, 2, 0]


def test_images_may_be_png_files(root: Path, jpeg: bytes):
    write_original(root)
    for name in IMAGES:
        path = root / "img_align_celeba" / name
        path.rename(path.with_suffix(".png"))
    (root / "img_align_celeba").rename(root / "img_align_celeba_png")
    manifest = load(root)
    assert manifest.rows.ids[0] == "000001.png"
    assert manifest.images.read(0) == jpeg
    assert manifest.warnings[0] == f"{root}: using the images in {root}/img_align_celeba_png"
    assert manifest.warnings[1].endswith("row 3 is '000001.jpg', the file is '000001.png'")


def test_finds_lists_and_images_in_other_folders(root: Path, jpeg: bytes):
    write_kaggle(root)
    expected = load(root).sha256()
    (root / "Kaggle" / "archive").mkdir(parents=True)
    for path in [*root.glob("*.csv"), root / "img_align_celeba"]:
        path.rename(root / "Kaggle" / "archive" / path.name)
    found = load(root)
    assert found.sha256() == expected
    assert found.warnings[0] == (
        f"{root} does not contain list_attr_celeba.csv itself; using "
        f"{root}/Kaggle/archive/list_attr_celeba.csv"
    )
    images = root / "Kaggle" / "archive" / "img_align_celeba"
    assert found.warnings[1] == f"{root}: using the images in {images}/img_align_celeba"
    assert load(images).sha256() == expected


def test_all_forty_attributes_have_phrases():
    assert len(PHRASES) == 40


def test_splits_are_matched_by_name(root: Path):
    write_original(root)
    lines = (root / "list_eval_partition.txt").read_text().splitlines()
    (root / "list_eval_partition.txt").write_text("\n".join(reversed(lines)))
    assert load(root).rows.splits.tolist() == [0, 0, 1, 2, 0]


def test_a_given_metadata_file_takes_precedence(root: Path):
    write_original(root)
    write_metadata(root, "other.csv", "id,filename,split,y,a", "")
    (root / "list_eval_partition.txt").unlink()
    assert load(root, metadata=root / "other.csv").rows.splits.tolist() == [0, 0, 1, 2, 0]


def test_a_metadata_file_has_the_default_attributes_only(root: Path):
    LAYOUTS["dfr"](root)
    assert load_error(root, OptionError, target="Smiling") == (
        "ROOT/metadata.csv has Blond_Hair and Male only; for another --target or --spurious, put "
        "one of list_attr_celeba.txt, list_attr_celeba.csv, Anno/list_attr_celeba.txt under --root"
    )


def test_rejects_an_unknown_attribute(root: Path):
    assert load_error(root, OptionError, target="Blonde") == (
        f"--target is 'Blonde', expected one of {', '.join(PHRASES)}"
    )


def test_rejects_one_attribute_for_both(root: Path):
    assert load_error(root, OptionError, spurious="Blond_Hair") == (
        "--target and --spurious are both Blond_Hair, expected two different attributes"
    )


def test_rejects_a_truncated_list(root: Path):
    write_original(root)
    lines = (root / "list_attr_celeba.txt").read_text().splitlines()
    (root / "list_attr_celeba.txt").write_text("\n".join(lines[:-2]))
    assert load_error(root) == (
        "ROOT/list_attr_celeba.txt: expected 5 rows according to the first line, found 3 after the "
        "header; the file is truncated or damaged, download it again"
    )


def test_rejects_an_empty_list(root: Path):
    write_original(root)
    (root / "list_attr_celeba.txt").write_text("")
    assert load_error(root) == "ROOT/list_attr_celeba.txt is empty, expected a header and rows"


def test_names_the_row_of_an_invalid_value(root: Path):
    write_original(root)
    text = (root / "list_attr_celeba.txt").read_text()
    (root / "list_attr_celeba.txt").write_text(text.replace("000002.jpg  -1", "000002.jpg  2"))
    message = load_error(root, target="5_o_Clock_Shadow")
    assert message == (
        "ROOT/list_attr_celeba.txt, row 4: 5_o_Clock_Shadow is '2', expected 0 or 1 (also written "
        "as -1 and 1, true and false, yes and no)"
    )


def test_names_an_image_without_a_split(root: Path):
    write_original(root)
    lines = (root / "list_eval_partition.txt").read_text().splitlines()
    (root / "list_eval_partition.txt").write_text("\n".join(lines[:2] + lines[3:]))
    assert load_error(root) == (
        "ROOT/list_attr_celeba.txt, row 5: the image '000003.jpg' has no row in "
        "ROOT/list_eval_partition.txt, expected its split there; download that file again"
    )


def test_names_the_missing_list_of_partitions(root: Path):
    write_original(root)
    (root / "list_eval_partition.txt").unlink()
    assert load_error(root) == (
        "ROOT contains none of list_eval_partition.txt, list_eval_partition.csv; set --root to a "
        "folder that contains img_align_celeba/, list_attr_celeba.txt (or .csv) and "
        "list_eval_partition.txt (or .csv)"
    )


def test_names_a_missing_image(root: Path):
    write_original(root)
    (root / "img_align_celeba" / IMAGES[2]).unlink()
    assert load_error(root) == (
        "ROOT/list_attr_celeba.txt, row 5: the image ROOT/img_align_celeba/000003.jpg does not "
        "exist (1 of 5 images is missing); complete the folder, correct --root, shorten the list, "
        "or keep their rows as not valid with --on-error skip"
    )


def test_describes_the_expected_content_of_the_root(tmp_path: Path):
    assert load_error(tmp_path) == (
        "ROOT contains none of list_attr_celeba.txt, list_attr_celeba.csv, metadata_celeba.csv, "
        "metadata.csv; set --root to a folder that contains img_align_celeba/, "
        "list_attr_celeba.txt (or .csv) and list_eval_partition.txt (or .csv)"
    )
