from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.datasets.common.metadata_manifest import make_manifest
from clip_cfr.extract.datasets.tables.table import read_csv
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.manifest import Manifest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.csv"


def read_manifest(path: Path, content: str, **options) -> Manifest:
    """Return the manifest of a metadata file with this content."""
    path.write_text(content)
    return make_manifest(read_csv(path), dataset="mine", root=path.parent, **options)


def test_reads_names(path: Path):
    manifest = read_manifest(
        path,
        "filename,label,attribute,split\n"
        "0.jpg,dog,snow,train\n1.jpg,cat,grass,val\n2.jpg,dog,grass,2\n",
    )
    assert manifest.dataset == "mine"
    assert manifest.rows.ids == ("0.jpg", "1.jpg", "2.jpg")
    assert manifest.class_names == ("cat", "dog")
    assert manifest.rows.labels.tolist() == [1, 0, 1]
    assert manifest.attribute_names == ("grass", "snow")
    assert manifest.rows.attributes.tolist() == [1, 0, 0]
    assert manifest.rows.splits.tolist() == [0, 1, 2]
    assert manifest.class_prompts == (("cat",), ("dog",))
    assert manifest.attribute_prompts == (("grass",), ("snow",))
    assert manifest.warnings == ()


def test_reads_numbers(path: Path):
    manifest = read_manifest(path, "filename,y,a,split\n0.jpg,0,2,0\n1.jpg,1,1,1\n2.jpg,1,0,2\n")
    assert manifest.rows.labels.tolist() == [0, 1, 1]
    assert manifest.rows.attributes.tolist() == [2, 1, 0]
    assert (manifest.class_names, manifest.attribute_names) == (("0", "1"), ("0", "1", "2"))
    assert manifest.attribute_prompts == ()


def test_class_names_determine_the_labels(path: Path):
    content = "filename,label,split\n0.jpg,dog,0\n1.jpg,cat,0\n"
    manifest = read_manifest(path, content, class_names=("dog", "cat", "bird"))
    assert manifest.rows.labels.tolist() == [0, 1]
    assert manifest.class_names == ("dog", "cat", "bird")


def test_without_a_column_every_row_has_attribute_zero(path: Path):
    manifest = read_manifest(path, "filename,label,split\n0.jpg,a,0\n1.jpg,b,1\n")
    assert manifest.rows.attributes.tolist() == [0, 0]
    assert manifest.attribute_names == ()
    assert manifest.attribute_prompts == ()


def test_warns_of_unused_columns(path: Path):
    manifest = read_manifest(path, "filename,label,atribute,split\n0.jpg,dog,snow,0\n")
    assert manifest.attribute_names == ()
    assert manifest.warnings == (
        f"{path}: unused columns: atribute; the columns that are read are "
        "filename, label, attribute and split",
    )


def test_draws_splits_stratified_by_group(path: Path):
    rows = (f"{row}.jpg,{'dog' if row < 50 else 'cat'},{row % 2}" for row in range(100))
    manifest = read_manifest(path, "\n".join(["filename,label,attribute", *rows]))
    groups = manifest.rows.labels * 2 + manifest.rows.attributes
    counts = {g: np.bincount(manifest.rows.splits[groups == g]).tolist() for g in range(4)}
    assert counts == {group: [15, 5, 5] for group in range(4)}
    assert manifest.warnings == (
        f"mine: {path} has no column split; drew 60 % train, 20 % val and 20 % test "
        "with seed 42, stratified by group",
    )


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "name,label\n0.jpg,a\n",
            {},
            " has no column filename or img_filename or image_id, found the columns name, label; "
            "rename or add the column",
        ),
        (
            "filename,class\n0.jpg,a\n",
            {},
            " has no column label or y, found the columns filename, class; "
            "rename or add the column",
        ),
        (
            "filename,label\na.jpg,\nb.jpg,\n",
            {},
            ", row 2: label is '', expected a name or a number",
        ),
        (
            "filename,label\n0.jpg,a\n1.jpg,\n",
            {},
            ", row 3: label is '', expected one of a",
        ),
        (
            "filename,label\n0.jpg,a\n1.jpg,dgo\n",
            {"class_names": ("a", "dog")},
            ", row 3: label is 'dgo', expected one of a, dog",
        ),
        (
            "filename,y\n0.jpg,0\n1.jpg,2\n",
            {"class_names": ("a", "b")},
            ", row 3: y is '2', expected one of 0, 1",
        ),
        (
            "filename,y\n0.jpg,0\n1.jpg,7\n",
            {},
            ": y has values up to 7, but 1 does not occur; "
            "number the values from 0 without gaps, or use names",
        ),
        (
            "filename,y\n0.jpg,00\n",
            {},
            ", row 2: y is '00', expected one of 0",
        ),
        (
            "filename,y,split\n0.jpg,0,dev\n",
            {},
            ", row 2: split is 'dev', expected one of 0, 1, 2, train, val, test",
        ),
        (
            "filename,y\n0.jpg,0\n0.jpg,1\n",
            {},
            ", row 3: the image '0.jpg' is already listed in row 2; remove one of the two rows",
        ),
        (
            "filename,y\n/etc/passwd,0\n",
            {},
            ", row 2: the image path '/etc/passwd' is not inside the root, "
            "expected a path relative to the root",
        ),
    ],
)
def test_rejects_invalid_files(path: Path, content: str, options: dict, message: str):
    with pytest.raises(ExtractError) as error:
        read_manifest(path, content, **options)
    assert str(error.value) == f"{path}{message}"
