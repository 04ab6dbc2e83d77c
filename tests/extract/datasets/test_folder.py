from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError

NAMES = [f"{number}.jpg" for number in range(100)]


def load(root: Path, content: str, **options):
    (root / "list.csv").write_text(content)
    return load_dataset("folder", root, DatasetOptions(metadata=root / "list.csv", **options))


def refusal(root: Path, content: str, **options) -> str:
    with pytest.raises(ExtractError) as caught:
        load(root, content, **options)
    return str(caught.value).replace(str(root), "ROOT")


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    write_images(tmp_path, NAMES)
    return tmp_path


def test_reads_names(root: Path, jpeg: bytes):
    manifest = load(
        root,
        "filename,label,attribute,split\n0.jpg,dog,snow,train\n1.jpg,cat,grass,val\n2.jpg,dog,grass,2\n",
    )
    assert manifest.rows.ids == ("0.jpg", "1.jpg", "2.jpg")
    assert manifest.class_names == ("cat", "dog")
    assert manifest.rows.labels.tolist() == [1, 0, 1]
    assert manifest.attribute_names == ("grass", "snow")
    assert manifest.rows.attributes.tolist() == [1, 0, 0]
    assert manifest.rows.splits.tolist() == [0, 1, 2]
    assert manifest.class_prompts == (("cat",), ("dog",))
    assert manifest.attribute_prompts == (("grass",), ("snow",))
    assert manifest.warnings == ()
    assert manifest.images.read(0) == jpeg


def test_a_column_that_nothing_is_read_from_is_told(root: Path):
    manifest = load(root, "filename,label,atribute,split\n0.jpg,dog,snow,0\n1.jpg,cat,snow,0\n")
    assert manifest.attribute_names == ()
    assert manifest.warnings == (
        f"{root / 'list.csv'}: nothing is read from atribute; the columns that are read are "
        "filename, label, attribute and split",
    )


def test_class_names_give_the_order(root: Path):
    content = "filename,label,split\n0.jpg,dog,0\n1.jpg,cat,0\n"
    manifest = load(root, content, class_names=("dog", "cat", "bird"))
    assert manifest.rows.labels.tolist() == [0, 1]
    assert manifest.class_names == ("dog", "cat", "bird")


def test_reads_the_list_of_subpopbench(root: Path):
    manifest = load(root, "filename,y,a,split\n0.jpg,0,2,0\n1.jpg,1,1,1\n2.jpg,1,0,2\n")
    assert manifest.rows.labels.tolist() == [0, 1, 1]
    assert manifest.rows.attributes.tolist() == [2, 1, 0]
    assert (manifest.class_names, manifest.attribute_names) == (("0", "1"), ("0", "1", "2"))
    assert manifest.attribute_prompts == ()
    assert manifest.warnings == (
        "folder: the classes have numbers for names, which say nothing to CLIP; "
        "give --class-names or --prompts",
    )


def test_without_attribute_there_is_one(root: Path):
    manifest = load(root, "filename,label,split\n0.jpg,a,0\n1.jpg,b,1\n")
    assert manifest.rows.attributes.tolist() == [0, 0]
    assert manifest.attribute_names == ()
    assert manifest.attribute_prompts == ()


def unsplit_list() -> str:
    rows = (f"{name},{'dog' if i < 50 else 'cat'},{i % 2}" for i, name in enumerate(NAMES))
    return "\n".join(["filename,label,attribute", *rows])


def test_draws_splits_stratified_by_group(root: Path):
    manifest = load(root, unsplit_list())
    groups = manifest.rows.labels * 2 + manifest.rows.attributes
    for group in range(4):
        assert np.bincount(manifest.rows.splits[groups == group]).tolist() == [15, 5, 5]
    assert manifest.warnings == (
        f"folder: {root}/list.csv has no column split, so 60 % train, 20 % val and 20 % test "
        "were drawn with seed 42, stratified by group",
    )


def test_the_seed_decides_the_draw(root: Path):
    first, again = load(root, unsplit_list()), load(root, unsplit_list(), seed=42)
    assert first.sha256() == again.sha256()
    assert first.sha256() != load(root, unsplit_list(), seed=1).sha256()


def test_finds_metadata_csv_in_the_root(root: Path):
    (root / "metadata.csv").write_text("filename,label\n0.jpg,a\n")
    assert load_dataset("folder", root, DatasetOptions()).rows.ids == ("0.jpg",)


def test_says_what_to_give(root: Path):
    with pytest.raises(ExtractError) as caught:
        load_dataset("folder", root, DatasetOptions())
    assert str(caught.value) == (
        f"{root} has none of metadata.csv; give --root a folder with your images, "
        "and --metadata a CSV file with filename,label[,attribute][,split]"
    )


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "name,label\n0.jpg,a\n",
            {},
            "ROOT/list.csv has no column filename or img_filename or image_id; "
            "its columns are name, label",
        ),
        (
            "filename,class\n0.jpg,a\n",
            {},
            "ROOT/list.csv has no column label or y; its columns are filename, class",
        ),
        (
            "filename,label\na.jpg,\nb.jpg,\n",
            {},
            "ROOT/list.csv, row 2: label is '', expected a name or a number",
        ),
        (
            "filename,label\n0.jpg,a\n1.jpg,\n",
            {},
            "ROOT/list.csv, row 3: label is '', expected one of a",
        ),
        (
            "filename,label\n0.jpg,a\n1.jpg,dgo\n",
            {"class_names": ("a", "dog")},
            "ROOT/list.csv, row 3: label is 'dgo', expected one of a, dog",
        ),
        (
            "filename,y\n0.jpg,0\n1.jpg,2\n",
            {"class_names": ("a", "b")},
            "ROOT/list.csv, row 3: y is '2', expected one of 0, 1",
        ),
        (
            "filename,y\n0.jpg,0\n1.jpg,7\n",
            {},
            "ROOT/list.csv: y goes up to 7, but no row has 1; "
            "count from 0 without a gap, or use names",
        ),
        (
            "filename,y\n0.jpg,00\n",
            {},
            "ROOT/list.csv, row 2: y is '00', expected one of 0",
        ),
        (
            "filename,y,split\n0.jpg,0,dev\n",
            {},
            "ROOT/list.csv, row 2: split is 'dev', expected one of 0, 1, 2, train, val, test",
        ),
        (
            "filename,y\n0.jpg,0\n0.jpg,1\n",
            {},
            "ROOT/list.csv, row 3: the image '0.jpg' is already in row 2, expected each once",
        ),
        (
            "filename,y\n0.jpg,0\nnone/1.jpg,1\n",
            {},
            "ROOT/list.csv, row 3: no image ROOT/none/1.jpg (1 of 2 images are missing); "
            "complete the folder, or check --root",
        ),
        (
            "filename,y\n/etc/passwd,0\n",
            {},
            "ROOT/list.csv, row 2: the path '/etc/passwd' leads out of the root, "
            "expected one that is relative to it",
        ),
    ],
)
def test_names_what_is_wrong(root: Path, content: str, options: dict, message: str):
    assert refusal(root, content, **options) == message


def test_a_metadata_file_that_is_not_there(root: Path):
    with pytest.raises(ExtractError, match=r"none.csv: cannot be read \(No such file"):
        load_dataset("folder", root, DatasetOptions(metadata=root / "none.csv"))


def test_a_folder_that_cannot_be_listed(root: Path):
    name = "x" * 300
    assert refusal(root, f"filename,y\n{name}/0.jpg,0\n") == (
        f"ROOT/{name}: cannot be listed (File name too long)"
    )
