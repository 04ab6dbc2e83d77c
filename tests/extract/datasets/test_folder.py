from functools import partial
from pathlib import Path

import pytest

from tests.extract.datasets import loading

load = partial(loading.load, "folder")
load_error = partial(loading.load_error, "folder")

METADATA = "filename,label,attribute,split\n0.jpg,dog,snow,train\n1.jpg,cat,grass,val\n"


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    write_images(tmp_path, ["0.jpg", "1.jpg"])
    (tmp_path / "metadata.csv").write_text(METADATA)
    return tmp_path


def test_reads_images_and_metadata(root: Path, jpeg: bytes):
    manifest = load(root)
    assert manifest.dataset == "folder"
    assert manifest.rows.ids == ("0.jpg", "1.jpg")
    assert manifest.class_names == ("cat", "dog")
    assert manifest.images.read(0) == jpeg
    assert manifest.warnings == ()


def test_a_given_metadata_file_takes_precedence(root: Path):
    (root / "list.csv").write_text(METADATA.replace("0.jpg,dog", "0.jpg,bird"))
    assert load(root, metadata=root / "list.csv").class_names == ("bird", "cat")


def test_class_names_determine_the_labels(root: Path):
    manifest = load(root, class_names=("dog", "cat", "bird"))
    assert manifest.rows.labels.tolist() == [0, 1]
    assert manifest.class_names == ("dog", "cat", "bird")


def test_the_seed_determines_the_drawn_splits(root: Path, write_images):
    names = [f"{number}.jpg" for number in range(100)]
    write_images(root, names)
    (root / "metadata.csv").write_text("filename,label\n" + "".join(f"{n},a\n" for n in names))
    assert load(root).sha256() == load(root, seed=42).sha256()
    assert load(root).sha256() != load(root, seed=1).sha256()


def test_warns_of_class_names_that_are_numbers(root: Path):
    metadata = METADATA.replace("dog", "0").replace("cat", "1")
    (root / "metadata.csv").write_text(metadata)
    assert load(root).warnings == (
        "folder: the class names are numbers, which do not describe images; "
        "set --class-names or --prompts",
    )
    assert load(root, class_names=("dog", "cat")).warnings == ()
    (root / "prompts.json").write_text('{"classes": [["dog"], ["cat"]]}')
    assert load(root, prompts=root / "prompts.json").warnings == ()


def test_names_a_missing_image(root: Path):
    (root / "metadata.csv").write_text(METADATA.replace("1.jpg", "none/1.jpg"))
    assert load_error(root) == (
        "ROOT/metadata.csv, row 3: the image ROOT/none/1.jpg does not exist "
        "(1 of 2 images are missing); complete the folder or correct --root"
    )


def test_describes_the_expected_content_of_the_root(root: Path):
    (root / "metadata.csv").unlink()
    assert load_error(root) == (
        "ROOT contains none of metadata.csv; set --root to a folder that contains your images, "
        "and --metadata to a CSV file with filename,label[,attribute][,split]"
    )


def test_names_a_missing_metadata_file(root: Path):
    assert load_error(root, metadata=root / "none.csv") == (
        "ROOT/none.csv cannot be read (No such file or directory); check the path"
    )
