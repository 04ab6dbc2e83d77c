import shutil
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.csv_table import read_csv
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.metashift import FOLDER, GROUPS, draw, listed_rows
from clip_cfr.extract.errors import ExtractError

PATHS = [f"{folder}/{number}.jpg" for folder in GROUPS for number in range(10)]
EXPECTED = f"{FOLDER}/ (train/cat/cat(indoor)/ and its three fellows), or that folder itself"


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    write_images(tmp_path / FOLDER, PATHS)
    return tmp_path


def load(root: Path, **options):
    return load_dataset("metashift", root, DatasetOptions(**options))


def refusal(root: Path, **options) -> str:
    with pytest.raises(ExtractError) as caught:
        load(root, **options)
    return str(caught.value).replace(str(root), "ROOT")


def write_list(path: Path) -> None:
    """A list with three rows, of a machine with other folders."""
    prefix = f"/home/someone/data/metashift/{FOLDER}"
    path.write_bytes(
        f"filename,y,a,split\r\n{prefix}/train/cat/cat(indoor)/3.jpg,1,1,2\r\n"
        f"{prefix}/test/dog/dog(indoor)/0.jpg,0,1,0\r\n"
        f"{prefix}/train/dog/dog(outdoor)/7.jpg,0,0,1\r\n".encode()
    )


@pytest.mark.parametrize("place", ["metadata_metashift.csv", f"{FOLDER}/metadata_metashift.csv"])
def test_the_list_decides_where_there_is_one(root: Path, place: str, jpeg: bytes):
    write_list(root / place)
    manifest = load(root)
    assert manifest.rows.ids == (
        "train/cat/cat(indoor)/3.jpg",
        "test/dog/dog(indoor)/0.jpg",
        "train/dog/dog(outdoor)/7.jpg",
    )
    assert manifest.rows.labels.tolist() == [1, 0, 0]
    assert manifest.rows.attributes.tolist() == [1, 1, 0]
    assert manifest.rows.splits.tolist() == [2, 0, 1]
    assert manifest.class_names == ("dog", "cat")
    assert manifest.attribute_names == ("outdoor", "indoor")
    assert manifest.images.read(0) == jpeg
    assert manifest.warnings == (
        "metashift: the whole has 1/1/0/1 rows, published are 1184/773/294/1248",
    )
    assert load(root / FOLDER).sha256() == manifest.sha256()


def test_takes_a_list_that_is_given(root: Path):
    write_list(root / "list.csv")
    assert len(load(root, metadata=root / "list.csv").rows) == 3


def test_the_real_list_is_found_in_the_folder(shared_data, tmp_path: Path):
    path = shared_data("metadata_metashift.csv")
    for line in path.read_text().splitlines()[1:]:
        image = tmp_path / line.split(",")[0].partition(f"{FOLDER}/")[2]
        image.parent.mkdir(parents=True, exist_ok=True)
        image.touch()
    rows = listed_rows(tmp_path, read_csv(path))
    assert rows.ids[0] == "train/cat/cat(indoor)/2320061.jpg"
    groups = rows.labels * 2 + rows.attributes
    assert [np.bincount(groups[rows.splits == split]).tolist() for split in range(3)] == [
        [784, 507, 196, 789],
        [127, 75, 33, 114],
        [273, 191, 65, 345],
    ]
    shutil.copy(path, tmp_path)
    assert load(tmp_path).warnings == ()


def test_draws_splits_where_there_is_no_list(root: Path):
    manifest = load(root)
    assert manifest.rows.ids == tuple(sorted(PATHS))
    assert np.bincount(manifest.rows.splits).tolist() == [26, 4, 10]
    for path, label, attribute in zip(
        manifest.rows.ids, manifest.rows.labels, manifest.rows.attributes, strict=True
    ):
        assert GROUPS[path.rpartition("/")[0]] == (label, attribute)
    assert manifest.warnings[0] == (
        "metashift: no metadata_metashift.csv, so the splits were drawn with seed 42 over the "
        "images sorted by path; SubpopBench draws over the order of the file system, so its "
        "splits differ"
    )
    assert manifest.sha256() == load(root / FOLDER).sha256()
    assert manifest.sha256() != load(root, seed=1).sha256()


def test_the_draw_is_subpopbenchs(shared_data):
    """The real list stands in the order of the file system that it was drawn over."""
    table = read_csv(shared_data("metadata_metashift.csv"))
    assert draw(len(table), 42).tolist() == [int(split) for split in table.columns["split"]]


def test_the_draw_stays_the_same():
    splits = draw(40, 42)
    assert np.flatnonzero(splits == 2).tolist() == [4, 6, 12, 15, 16, 19, 26, 27, 37, 39]
    assert np.flatnonzero(splits == 1).tolist() == [5, 21, 30, 33]


def test_a_path_outside_the_folder_is_refused(root: Path):
    (root / "list.csv").write_text("filename,y,a,split\n/home/else/3.jpg,1,1,2\n")
    assert refusal(root, metadata=root / "list.csv") == (
        "ROOT/list.csv, row 2: the path '/home/else/3.jpg' leads out of the root, "
        "expected one that is relative to it"
    )
    (root / "list.csv").write_text(f"filename,y,a,split\n/x/{FOLDER}/../3.jpg,1,1,2\n")
    assert refusal(root, metadata=root / "list.csv") == (
        "ROOT/list.csv, row 2: the path '../3.jpg' leads out of the root, "
        "expected one that is relative to it"
    )


def test_a_missing_image(root: Path):
    write_list(root / "metadata_metashift.csv")
    (root / FOLDER / "test/dog/dog(indoor)/0.jpg").unlink()
    assert refusal(root) == (
        "ROOT/metadata_metashift.csv, row 3: no image "
        f"ROOT/{FOLDER}/test/dog/dog(indoor)/0.jpg (1 of 3 images are missing); "
        "complete the folder, or check --root"
    )


def test_a_missing_folder(root: Path):
    shutil.rmtree(root / FOLDER / "test" / "cat")
    assert refusal(root) == (
        f"no images *.jpg in ROOT/{FOLDER}/test/cat/cat(outdoor); "
        f"give --root a folder with {EXPECTED}"
    )
