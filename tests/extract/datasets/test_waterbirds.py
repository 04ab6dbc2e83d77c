import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.datasets import load_dataset
from clip_cfr.extract.datasets.common.csv_table import read_csv
from clip_cfr.extract.datasets.common.image_paths import relative_paths
from clip_cfr.extract.datasets.common.metadata_columns import FILENAME, binary_rows
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.common.published_counts import group_counts
from clip_cfr.extract.datasets.waterbirds import PUBLISHED
from clip_cfr.extract.errors import ExtractError

FOLDER = "waterbird_complete95_forest2water2"
PATHS = ["001.Albatross/a.jpg", "001.Albatross/b.jpg", "002.Wren/c.jpg", "002.Wren/d.jpg"]
LIST = """img_id,img_filename,y,split,place,place_filename
1,001.Albatross/a.jpg,1,0,0,/f/forest.jpg
2,001.Albatross/b.jpg,1,1,1,/l/lake.jpg
3,002.Wren/c.jpg,0,2,0,/f/forest.jpg
4,002.Wren/d.jpg,0,0,1,/l/lake.jpg
"""
SUBPOPBENCH_LIST = """id,filename,split,y,a
1,001.Albatross/a.jpg,0,1,0
2,001.Albatross/b.jpg,1,1,1
3,002.Wren/c.jpg,2,0,0
4,002.Wren/d.jpg,0,0,1
"""


def load(root: Path, **options):
    return load_dataset("waterbirds", root, DatasetOptions(**options))


def refusal(root: Path, **options) -> str:
    with pytest.raises(ExtractError) as caught:
        load(root, **options)
    return str(caught.value).replace(str(root), "ROOT")


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    """The parent folder of Waterbirds as group DRO publishes it."""
    write_images(tmp_path / FOLDER, PATHS)
    (tmp_path / FOLDER / "metadata.csv").write_text(LIST)
    return tmp_path


def test_reads_the_published_folder(root: Path, jpeg: bytes):
    manifest = load(root)
    assert manifest.dataset == "waterbirds"
    assert manifest.rows.ids == tuple(PATHS)
    assert manifest.rows.labels.tolist() == [1, 1, 0, 0]
    assert manifest.rows.attributes.tolist() == [0, 1, 0, 1]
    assert manifest.rows.splits.tolist() == [0, 1, 2, 0]
    assert manifest.rows.subjects is None
    assert (manifest.rows.labels.dtype, manifest.rows.splits.dtype) == (np.int32, np.int8)
    assert manifest.class_names == ("landbird", "waterbird")
    assert manifest.attribute_names == ("land", "water")
    assert manifest.class_prompts == (("landbird",), ("waterbird",))
    assert pickle.loads(pickle.dumps(manifest.images)).read(2) == jpeg


def test_the_folder_itself_gives_the_same_manifest(root: Path):
    assert load(root / FOLDER).sha256() == load(root).sha256()


def test_reads_the_wilds_folder(root: Path):
    (root / FOLDER).rename(root / "waterbirds_v1.0")
    assert load(root).rows.ids == load(root / "waterbirds_v1.0").rows.ids == tuple(PATHS)


def test_reads_the_list_of_subpopbench(root: Path):
    expected = load(root).sha256()
    (root / FOLDER / "metadata.csv").unlink()
    (root / "metadata_waterbirds.csv").write_text(SUBPOPBENCH_LIST)
    assert load(root).sha256() == expected


def test_reads_the_list_that_is_given(root: Path, tmp_path_factory):
    path = tmp_path_factory.mktemp("lists") / "some.csv"
    path.write_text(SUBPOPBENCH_LIST.replace(",0,1,0\n", ",2,1,0\n"))
    assert load(root, metadata=path).rows.splits.tolist() == [2, 1, 2, 0]


def test_warns_of_other_counts_than_published(root: Path):
    assert load(root).warnings == (
        "waterbirds: train has 0/1/1/0 rows, published are 3498/184/56/1057",
        "waterbirds: val has 0/0/0/1 rows, published are 467/466/133/133",
        "waterbirds: test has 1/0/0/0 rows, published are 2255/2255/642/642",
    )


def test_the_real_list_has_the_published_groups(shared_data):
    table = read_csv(shared_data("metadata_waterbirds_subpopbench.csv"))
    rows = binary_rows(table, relative_paths(table, table.column(*FILENAME)))
    assert len(rows) == 11788
    assert group_counts(rows, 4, 2) == {name: list(n) for name, n in PUBLISHED.items()}


def test_names_the_first_missing_image(root: Path):
    (root / FOLDER / PATHS[1]).unlink()
    shutil.rmtree(root / FOLDER / "002.Wren")
    assert refusal(root) == (
        f"ROOT/{FOLDER}/metadata.csv, row 3: no image ROOT/{FOLDER}/001.Albatross/b.jpg "
        "(3 of 4 images are missing); complete the folder, or check --root"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1,001.Albatross/a.jpg,1,0", "1,001.Albatross/a.jpg,1,3", "split is '3'"),
        ("1,001.Albatross/a.jpg,1,0", "1,001.Albatross/a.jpg,cat,0", "y is 'cat'"),
    ],
)
def test_names_file_row_and_value(root: Path, old: str, new: str, message: str):
    path = root / FOLDER / "metadata.csv"
    path.write_text(LIST.replace(old, new))
    assert refusal(root).startswith(
        f"ROOT/{FOLDER}/metadata.csv, row 2: {message}, expected one of"
    )


def test_names_a_missing_column(root: Path):
    (root / FOLDER / "metadata.csv").write_text(LIST.replace("place,", "location,"))
    assert refusal(root) == (
        f"ROOT/{FOLDER}/metadata.csv has no column attribute or a or place; "
        "its columns are img_id, img_filename, y, split, location, place_filename"
    )


EXPECTED = (
    f"{FOLDER}/ (metadata.csv and a folder for each bird), or that folder itself, "
    "or WILDS' waterbirds_v1.0/"
)


def test_says_what_a_wrong_root_lacks(tmp_path: Path):
    assert refusal(tmp_path) == (
        f"ROOT has none of metadata.csv, {FOLDER}/metadata.csv, waterbirds_v1.0/metadata.csv, "
        f"metadata_waterbirds.csv; give --root a folder with {EXPECTED}"
    )


def test_says_what_a_missing_root_should_hold(tmp_path: Path):
    assert refusal(tmp_path / "none") == f"no folder ROOT; give --root a folder with {EXPECTED}"
