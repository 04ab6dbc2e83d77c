import json
import pickle
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.extract.datasets import loading

load = partial(loading.load, "parquet")
load_error = partial(loading.load_error, "parquet")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
}


def write(
    path: Path,
    columns: Mapping[str, Sequence[Any]],
    types: Mapping[str, Any],
    features: Mapping[str, Any] | None = None,
) -> Path:
    """Write a Parquet file with row groups of two, and Hugging Face's metadata of features."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    table = pa.table(dict(columns), schema=pa.schema(list(types.items()), metadata=metadata))
    parquet.write_table(table, path, row_group_size=2)
    return path


def write_images(path: Path, jpeg: bytes, num: int, first: int = 0) -> Path:
    """Write a file as Hugging Face does, with images that differ in their last byte."""
    numbers = range(first, first + num)
    columns = {
        "image": [{"bytes": jpeg + bytes([i]), "path": f"{i:03d}.jpg"} for i in numbers],
        "label": [i % 2 for i in numbers],
        "place": [("sea", "land")[i // 2 % 2] for i in numbers],
        "caption": [f"caption {i}" for i in numbers],
    }
    types = {"image": IMAGE, "label": pa.int64(), "place": pa.string(), "caption": pa.string()}
    return write(path, columns, types, FEATURES)


@pytest.fixture
def root(tmp_path: Path, jpeg: bytes) -> Path:
    """The folder of a data set of Hugging Face with three splits."""
    write_images(tmp_path / "data" / "train-00000-of-00002.parquet", jpeg, 5)
    write_images(tmp_path / "data" / "train-00001-of-00002.parquet", jpeg, 4, 5)
    write_images(tmp_path / "data" / "validation-00000-of-00001.parquet", jpeg, 3, 9)
    write_images(tmp_path / "data" / "test-00000-of-00001.parquet", jpeg, 2, 12)
    (tmp_path / "README.md").write_text("")
    return tmp_path


def test_reads_files_as_hugging_face_writes_them(root: Path, jpeg: bytes):
    manifest = load(root / "data")
    order = [12, 13, *range(12)]
    assert manifest.dataset == "parquet"
    assert manifest.rows.ids == tuple(f"{number:03d}.jpg" for number in order)
    assert manifest.class_names == ("cat", "dog")
    assert manifest.rows.labels.tolist() == [number % 2 for number in order]
    assert manifest.attribute_names == ("land", "sea")
    assert manifest.rows.splits.tolist() == [2] * 2 + [0] * 9 + [1] * 3
    assert manifest.warnings == ()
    images = pickle.loads(pickle.dumps(manifest.images))
    rows = [*range(14), 0, 13, 5, 4]
    assert [images.read(row) for row in rows] == [jpeg + bytes([order[row]]) for row in rows]


def test_finds_files_in_the_folder_below(root: Path):
    manifest = load(root)
    assert manifest.warnings == (f"{root} contains no .parquet files itself; using the 4 in data",)
    assert manifest.sha256() == load(root / "data" / "*.parquet").sha256()


def test_the_only_split_among_the_names_is_none(root: Path):
    manifest = load(root / "data" / "train-{00000..00001}-of-00002.parquet")
    assert set(manifest.rows.splits.tolist()) == {0, 1, 2}


def test_reads_a_column_of_bytes_with_ids(tmp_path: Path, jpeg: bytes):
    columns = {"image_id": [7, 3], "photo": [jpeg, jpeg + b"x"], "dx": ["mel", "nv"]}
    columns["where"] = ["arm", "leg"]
    types = {"image_id": pa.int32(), "photo": pa.large_binary(), "dx": pa.string()}
    path = write(tmp_path / "a.parquet", columns, {**types, "where": pa.string()})
    manifest = load(path, columns={"label": "dx", "attribute": "where"})
    assert manifest.rows.ids == ("7", "3")
    assert manifest.class_names == ("mel", "nv")
    assert manifest.attribute_names == ("arm", "leg")
    assert manifest.images.read(1) == jpeg + b"x"


def test_rows_without_ids_are_named_by_file_and_number(tmp_path: Path, jpeg: bytes):
    for name in ("a", "b"):
        columns = {"image": [{"bytes": jpeg, "path": None}] * 2, "label": ["x", "y"]}
        write(tmp_path / f"{name}.parquet", columns, {"image": IMAGE, "label": pa.string()})
    assert load(tmp_path).rows.ids == ("a/0", "a/1", "b/0", "b/1")


def test_equal_paths_in_two_files_get_the_names_of_the_files(tmp_path: Path, jpeg: bytes):
    write_images(tmp_path / "a.parquet", jpeg, 2)
    write_images(tmp_path / "b.parquet", jpeg, 2)
    assert load(tmp_path).rows.ids == ("a/000.jpg", "a/001.jpg", "b/000.jpg", "b/001.jpg")


def test_reads_a_column_of_paths(tmp_path: Path, write_images, jpeg: bytes):
    write_images(tmp_path, ["x/0.jpg", "x/1.jpg"])
    columns = {"file_name": ["x/0.jpg", "x/1.jpg"], "label": ["owl", "fox"]}
    write(tmp_path / "a.parquet", columns, {"file_name": pa.string(), "label": pa.string()})
    manifest = load(tmp_path)
    assert manifest.rows.ids == ("x/0.jpg", "x/1.jpg")
    assert manifest.images.read(1) == jpeg


def test_a_struct_without_bytes_is_a_path(tmp_path: Path, write_images, jpeg: bytes):
    write_images(tmp_path, ["x/0.jpg"])
    images = [{"bytes": None, "path": "x/0.jpg"}, {"bytes": None, "path": None}]
    columns = {"image": images, "label": ["owl", "fox"]}
    write(tmp_path / "a.parquet", columns, {"image": IMAGE, "label": pa.string()})
    images = load(tmp_path).images
    assert images.read(0) == jpeg
    with pytest.raises(OSError, match="has no bytes for it"):
        images.read(1)


def test_labels_come_from_a_list_by_id(root: Path, jpeg: bytes):
    lines = ["011.jpg,fox,test", "002,owl,train", "train-00001-of-00002/007.jpg,owl,val"]
    (root / "list.csv").write_text("\n".join(["file,label,split", *lines]) + "\n")
    manifest = load(root / "data", metadata=root / "list.csv")
    assert manifest.rows.ids == ("002.jpg", "007.jpg", "011.jpg")
    assert manifest.rows.labels.tolist() == [1, 1, 0]
    assert manifest.images.read(1) == jpeg + bytes([7])


def test_a_class_of_minus_one_is_missing(tmp_path: Path, jpeg: bytes):
    columns = {"image": [{"bytes": jpeg, "path": None}] * 3, "label": [0, 1, -1]}
    path = write(tmp_path / "a.parquet", columns, {"image": IMAGE, "label": pa.int64()}, FEATURES)
    assert "1 value is missing in the column label (empty)" in load_error(path)
    assert load(path, drop_missing=True).rows.labels.tolist() == [0, 1]


def test_several_columns_of_images_need_a_choice(tmp_path: Path, jpeg: bytes):
    columns = {"before": [jpeg], "after": [jpeg + b"x"], "label": ["a"]}
    types = {"before": pa.binary(), "after": pa.binary(), "label": pa.string()}
    path = write(tmp_path / "a.parquet", columns, types)
    assert load_error(path) == (
        "ROOT has 2 columns of images: before, after; choose one with --columns filename=before"
    )
    assert load(path, columns={"filename": "After"}).images.read(0) == jpeg + b"x"
    assert load_error(path, columns={"filename": "x"}) == (
        "--columns filename=x: ROOT has no such column, found the columns before, after, label"
    )


def test_describes_a_file_without_images(tmp_path: Path):
    types = {"text": pa.string(), "label": pa.int64()}
    path = write(tmp_path / "a.parquet", {"text": ["a"], "label": [0]}, types)
    assert load_error(path) == (
        "ROOT has no column of images (bytes, or a struct of bytes and path), nor one of their "
        "paths, found the columns text, label; name one with --columns filename=COLUMN"
    )


def test_names_the_columns_if_none_is_the_label(tmp_path: Path, jpeg: bytes):
    types = {"i": pa.binary(), "dx": pa.string()}
    path = write(tmp_path / "a.parquet", {"i": [jpeg], "dx": ["a"]}, types)
    assert load_error(path) == (
        "ROOT: no field of the samples is called label, the fields are dx; name the one to take "
        "with --columns label=FIELD, or give a list of ids and labels with --metadata"
    )


def test_files_with_other_columns_are_refused(root: Path, jpeg: bytes):
    write(root / "data" / "x.parquet", {"photo": [jpeg]}, {"photo": pa.binary()})
    assert load_error(root / "data") == (
        "ROOT/x.parquet has no column image, as ROOT/test-00000-of-00001.parquet has, found the "
        "columns photo; leave one of them out of --root"
    )


def test_damage_is_named(root: Path):
    path = root / "data" / "train-00001-of-00002.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    message = load_error(root / "data")
    assert message.startswith("ROOT/train-00001-of-00002.parquet is not a valid Parquet file (")
    path.write_bytes(b"")
    assert load_error(root / "data").startswith("ROOT/train-00001-of-00002.parquet is not a valid")


def test_a_damaged_row_group_is_that_of_its_rows_alone(root: Path, jpeg: bytes):
    path = root / "data" / "train-00000-of-00002.parquet"
    images = load(path).images
    content = bytearray(path.read_bytes())
    start = parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    assert images.read(1) == jpeg + bytes([1])
    for row in (2, 3, 2):
        with pytest.raises(OSError, match="row group 1 of"):
            images.read(row)
    assert images.read(4) == jpeg + bytes([4])


def test_a_file_that_has_changed_is_not_read(root: Path, jpeg: bytes):
    path = root / "data" / "train-00000-of-00002.parquet"
    images = load(path).images
    write_images(path, jpeg, 9)
    with pytest.raises(OSError, match=r"bytes, and had .* before"):
        images.read(0)


def test_a_missing_pyarrow_is_named_with_its_extra(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert load_error(root / "data").endswith("pip install 'clip-cfr[parquet]'")
