from collections.abc import Callable
from pathlib import Path

import pytest

from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.celeba.attribute_phrases import PHRASES
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError, OptionError

NAMES = tuple(PHRASES)
IMAGES = [f"{number:06d}.jpg" for number in range(1, 6)]
# Blond_Hair, Male, Smiling and the split of each image.
ROWS = [("1", "-1", "1", 0), ("-1", "1", "1", 0), ("-1", "-1", "-1", 1), ("1", "1", "1", 2)]
ROWS.append(("1", "1", "-1", 0))


def fields(row: tuple) -> list[str]:
    """The forty values of a row."""
    values = dict(zip(("Blond_Hair", "Male", "Smiling"), row[:3], strict=True))
    return [values.get(name, "-1") for name in NAMES]


def original(folder: Path) -> None:
    """The two lists as CelebA's authors publish them."""
    lines = [f"{name}  {' '.join(fields(row))}" for name, row in zip(IMAGES, ROWS, strict=True)]
    head = [str(len(IMAGES)), " ".join(NAMES) + " "]
    (folder / "list_attr_celeba.txt").write_text("\n".join(head + lines) + "\n")
    lines = [f"{name} {row[3]}" for name, row in zip(IMAGES, ROWS, strict=True)]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")


def official_folders(folder: Path) -> None:
    """The folders of the authors' own archive."""
    for name, file in (("Anno", "list_attr_celeba.txt"), ("Eval", "list_eval_partition.txt")):
        (folder / name).mkdir()
        original(folder / name)
        for other in {"list_attr_celeba.txt", "list_eval_partition.txt"} - {file}:
            (folder / name / other).unlink()
    (folder / "Img").mkdir()
    (folder / "img_align_celeba").rename(folder / "Img" / "img_align_celeba")


def separated(folder: Path, separator: str, end: str) -> None:
    """The two lists as .csv with full headers."""
    rows = [["image_id", *NAMES]]
    rows += [[name, *fields(row)] for name, row in zip(IMAGES, ROWS, strict=True)]
    text = "".join(separator.join(row) + end for row in rows)
    (folder / "list_attr_celeba.csv").write_bytes(text.encode())
    rows = [["image_id", "partition"]]
    rows += [[name, str(row[3])] for name, row in zip(IMAGES, ROWS, strict=True)]
    text = "".join(separator.join(row) + end for row in rows)
    (folder / "list_eval_partition.csv").write_bytes(text.encode())


def original_named_csv(folder: Path) -> None:
    """The authors' lists under names that promise commas."""
    original(folder)
    for name in ("list_attr_celeba", "list_eval_partition"):
        (folder / f"{name}.txt").rename(folder / f"{name}.csv")


def kaggle(folder: Path) -> None:
    """Kaggle's lists, beside a folder of images in a folder of images."""
    separated(folder, ",", "\r\n")
    (folder / "img_align_celeba").rename(folder / "inner")
    (folder / "img_align_celeba").mkdir()
    (folder / "inner").rename(folder / "img_align_celeba" / "img_align_celeba")


def group_dro(folder: Path) -> None:
    """Group DRO's folder `data`."""
    (folder / "data").mkdir()
    separated(folder / "data", ",", "\n")
    (folder / "img_align_celeba").rename(folder / "data" / "img_align_celeba")


def metadata(folder: Path, name: str, header: str, prefix: str) -> None:
    """A list that knows blond hair and male only."""
    lines = [
        f"{number},{prefix}{image},{row[3]},{int(row[0] == '1')},{int(row[1] == '1')}"
        for number, (image, row) in enumerate(zip(IMAGES, ROWS, strict=True), start=1)
    ]
    (folder / name).write_text("\n".join([header, *lines]) + "\n")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "original": original,
    "official folders": official_folders,
    "commas": lambda folder: separated(folder, ",", "\n"),
    "spaces named csv": lambda folder: separated(folder, " ", "\n"),
    "original named csv": original_named_csv,
    "kaggle": kaggle,
    "group dro": group_dro,
    "subpopbench": lambda folder: metadata(
        folder, "metadata_celeba.csv", "id,filename,split,y,a", ""
    ),
    "dfr": lambda folder: metadata(
        folder, "metadata.csv", "img_id,img_filename,split,y,place", "img_align_celeba/"
    ),
}


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    write_images(tmp_path / "img_align_celeba", IMAGES)
    return tmp_path


def load(root: Path, **options):
    return load_dataset("celeba", root, DatasetOptions(**options))


def refusal(root: Path, **options) -> str:
    with pytest.raises(ExtractError) as caught:
        load(root, **options)
    return str(caught.value).replace(str(root), "ROOT")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_every_layout(root: Path, layout: str, jpeg: bytes):
    LAYOUTS[layout](root)
    manifest = load(root)
    assert manifest.rows.ids == tuple(IMAGES)
    assert manifest.rows.labels.tolist() == [1, 0, 0, 1, 1]
    assert manifest.rows.attributes.tolist() == [0, 1, 0, 1, 1]
    assert manifest.rows.splits.tolist() == [0, 0, 1, 2, 0]
    assert manifest.images.read(4) == jpeg


def test_the_usual_pair_has_our_prompts(root: Path):
    original(root)
    manifest = load(root)
    assert manifest.class_names == ("dark hair", "blond hair")
    assert manifest.class_prompts == (
        ("a photo of a celebrity with dark hair.",),
        ("a photo of a celebrity with blond hair.",),
    )
    assert manifest.attribute_names == ("a woman", "a man")
    assert manifest.warnings[0] == (
        "celeba: train has 0/1/1/1 rows, published are 71629/66874/22880/1387"
    )


def test_takes_any_two_attributes(root: Path):
    original(root)
    manifest = load(root, target="Smiling", spurious="Blond_Hair")
    assert manifest.rows.labels.tolist() == [1, 1, 0, 1, 0]
    assert manifest.rows.attributes.tolist() == [1, 0, 0, 1, 1]
    assert manifest.class_names == ("not smiling", "smiling")
    assert manifest.class_prompts[0] == ("a photo of a celebrity who is not smiling.",)
    assert manifest.attribute_names == ("dark hair", "blond hair")
    assert manifest.warnings == (
        "celeba: train has 3 rows, published are 162770",
        "celeba: val has 1 rows, published are 19867",
        "celeba: test has 1 rows, published are 19962",
    )


def test_describes_all_forty_attributes():
    assert len(PHRASES) == 40


def test_splits_are_found_by_name_not_by_position(root: Path):
    original(root)
    lines = (root / "list_eval_partition.txt").read_text().splitlines()
    (root / "list_eval_partition.txt").write_text("\n".join(reversed(lines)))
    assert load(root).rows.splits.tolist() == [0, 0, 1, 2, 0]


def test_takes_a_list_that_is_given(root: Path):
    original(root)
    metadata(root, "other.csv", "id,filename,split,y,a", "")
    (root / "list_eval_partition.txt").unlink()
    assert load(root, metadata=root / "other.csv").rows.splits.tolist() == [0, 0, 1, 2, 0]


def test_a_metadata_file_knows_one_pair_only(root: Path):
    LAYOUTS["dfr"](root)
    with pytest.raises(OptionError) as caught:
        load(root, target="Smiling")
    assert str(caught.value) == (
        f"{root}/metadata.csv holds Blond_Hair and Male only; --target and --spurious need one of "
        "list_attr_celeba.txt, list_attr_celeba.csv, Anno/list_attr_celeba.txt under --root"
    )


def test_refuses_what_is_no_attribute(root: Path):
    with pytest.raises(
        OptionError, match=r"--target is 'Blonde', expected one of 5_o_Clock_Shadow,"
    ):
        load(root, target="Blonde")


def test_refuses_one_attribute_for_both(root: Path):
    with pytest.raises(OptionError) as caught:
        load(root, spurious="Blond_Hair")
    assert (
        str(caught.value) == "--target and --spurious are both Blond_Hair, expected two attributes"
    )


def test_a_list_that_is_cut_off(root: Path):
    original(root)
    lines = (root / "list_attr_celeba.txt").read_text().splitlines()
    (root / "list_attr_celeba.txt").write_text("\n".join(lines[:-2]))
    assert refusal(root) == (
        "ROOT/list_attr_celeba.txt: its first line says 5 rows, but 3 follow the header; "
        "the file is cut off or damaged"
    )


def test_an_empty_list(root: Path):
    original(root)
    (root / "list_attr_celeba.txt").write_text("")
    assert refusal(root) == "ROOT/list_attr_celeba.txt is empty, expected a header and rows"


def test_a_value_that_is_none(root: Path):
    original(root)
    text = (root / "list_attr_celeba.txt").read_text()
    (root / "list_attr_celeba.txt").write_text(text.replace("000002.jpg  -1", "000002.jpg  2"))
    message = refusal(root, target="5_o_Clock_Shadow")
    assert message == (
        "ROOT/list_attr_celeba.txt, row 4: 5_o_Clock_Shadow is '2', expected one of -1, 0, 1"
    )


def test_an_image_without_a_split(root: Path):
    original(root)
    lines = (root / "list_eval_partition.txt").read_text().splitlines()
    (root / "list_eval_partition.txt").write_text("\n".join(lines[:2] + lines[3:]))
    assert refusal(root) == (
        "ROOT/list_attr_celeba.txt, row 5: the image '000003.jpg' has no split in "
        "ROOT/list_eval_partition.txt"
    )


def test_lists_without_partitions(root: Path):
    original(root)
    (root / "list_eval_partition.txt").unlink()
    assert refusal(root) == (
        "ROOT has none of list_eval_partition.txt, list_eval_partition.csv, "
        "Eval/list_eval_partition.txt; give --root a folder with img_align_celeba/, "
        "list_attr_celeba.txt (or .csv) and list_eval_partition.txt (or .csv)"
    )


def test_a_missing_image(root: Path):
    original(root)
    (root / "img_align_celeba" / IMAGES[2]).unlink()
    assert refusal(root) == (
        "ROOT/list_attr_celeba.txt, row 5: no image ROOT/img_align_celeba/000003.jpg "
        "(1 of 5 images are missing); complete the folder, or check --root"
    )


def test_a_wrong_root(tmp_path: Path):
    assert refusal(tmp_path) == (
        "ROOT has none of list_attr_celeba.txt, list_attr_celeba.csv, Anno/list_attr_celeba.txt, "
        "metadata_celeba.csv, metadata.csv; give --root a folder with img_align_celeba/, "
        "list_attr_celeba.txt (or .csv) and list_eval_partition.txt (or .csv)"
    )
