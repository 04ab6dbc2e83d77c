import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.datasets.common.binary_rows import read_binary_rows
from clip_cfr.extract.datasets.common.published_counts import count_groups
from clip_cfr.extract.datasets.tables.read_table import read_table
from clip_cfr.extract.datasets.tables.roles import FILENAME
from clip_cfr.extract.datasets.waterbirds import PUBLISHED
from tests.extract.datasets import loading

load = partial(loading.load, "waterbirds")
load_error = partial(loading.load_error, "waterbirds")

FOLDER = "waterbird_complete95_forest2water2"
PATHS = ["001.Albatross/a.jpg", "001.Albatross/b.jpg", "002.Wren/c.jpg", "002.Wren/d.jpg"]
METADATA = """img_id,img_filename,y,split,place,place_filename
1,001.Albatross/a.jpg,1,0,0,/f/forest.jpg
2,001.Albatross/b.jpg,1,1,1,/l/lake.jpg
3,002.Wren/c.jpg,0,2,0,/f/forest.jpg
4,002.Wren/d.jpg,0,0,1,/l/lake.jpg
"""
SUBPOPBENCH_METADATA = """id,filename,split,y,a
1,001.Albatross/a.jpg,0,1,0
2,001.Albatross/b.jpg,1,1,1
3,002.Wren/c.jpg,2,0,0
4,002.Wren/d.jpg,0,0,1
"""


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    """The parent folder of Waterbirds as group DRO publishes it."""
    write_images(tmp_path / FOLDER, PATHS)
    (tmp_path / FOLDER / "metadata.csv").write_text(METADATA)
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


def test_reads_the_folder_of_wilds(root: Path):
    (root / FOLDER).rename(root / "waterbirds_v1.0")
    assert load(root).rows.ids == load(root / "waterbirds_v1.0").rows.ids == tuple(PATHS)


def test_reads_the_metadata_file_of_subpopbench(root: Path):
    expected = load(root).sha256()
    (root / FOLDER / "metadata.csv").unlink()
    (root / "metadata_waterbirds.csv").write_text(SUBPOPBENCH_METADATA)
    assert load(root).sha256() == expected


def test_finds_list_and_images_in_deeper_folders(root: Path):
    expected = load(root).sha256()
    (root / "data" / "birds").mkdir(parents=True)
    (root / FOLDER).rename(root / "data" / "birds" / FOLDER)
    found = load(root)
    assert found.sha256() == expected
    folder = root / "data" / "birds" / FOLDER
    assert found.warnings[0] == (
        f"{root} does not contain metadata.csv itself; using {folder}/metadata.csv"
    )
    (folder / "images").mkdir()
    for name in ("001.Albatross", "002.Wren"):
        (folder / name).rename(folder / "images" / name)
    found = load(root)
    assert found.sha256() == expected
    assert found.warnings[1] == f"{root}: using the images in {folder}/images"
    # The root is one folder too deep: the list is above it.
    found = load(folder / "images")
    assert found.sha256() == expected
    assert found.warnings[0] == (
        f"{folder}/images does not contain metadata.csv itself; using {folder}/metadata.csv"
    )


def test_asks_which_of_two_equally_near_lists_it_is(root: Path):
    shutil.copytree(root / FOLDER, root / "a" / FOLDER)
    shutil.move(root / FOLDER, root / "b" / FOLDER)
    assert load_error(root) == (
        f"ROOT contains 2 files of one name: ROOT/a/{FOLDER}/metadata.csv, "
        f"ROOT/b/{FOLDER}/metadata.csv; set --root to one of their folders"
    )


def test_a_given_metadata_file_takes_precedence(root: Path, tmp_path_factory):
    path = tmp_path_factory.mktemp("lists") / "some.csv"
    path.write_text(SUBPOPBENCH_METADATA.replace(",0,1,0\n", ",2,1,0\n"))
    assert load(root, metadata=path).rows.splits.tolist() == [2, 1, 2, 0]


def test_warns_of_row_counts_that_are_not_published(root: Path):
    assert load(root).warnings == (
        "waterbirds: train has 0/1/1/0 rows, the published counts are 3498/184/56/1057",
        "waterbirds: val has 0/0/0/1 rows, the published counts are 467/466/133/133",
        "waterbirds: test has 1/0/0/0 rows, the published counts are 2255/2255/642/642",
    )


def test_the_published_metadata_file_has_the_published_groups(published_file):
    table = read_table(published_file("metadata_waterbirds_subpopbench.csv"))
    rows = read_binary_rows(table, table.column(FILENAME))
    assert len(rows) == 11788
    assert count_groups(rows, 4, 2) == {name: list(n) for name, n in PUBLISHED.items()}


def test_names_the_first_missing_image(root: Path):
    (root / FOLDER / PATHS[1]).unlink()
    shutil.rmtree(root / FOLDER / "002.Wren")
    assert load_error(root) == (
        f"ROOT/{FOLDER}/metadata.csv, row 3: the image ROOT/{FOLDER}/001.Albatross/b.jpg does not "
        "exist (3 of 4 images are missing); complete the folder, correct --root, shorten the list, "
        "or keep their rows as not valid with --on-error skip"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "1,001.Albatross/a.jpg,1,0",
            "1,001.Albatross/a.jpg,1,3",
            "split is '3', expected train, val, test or 0, 1, 2; found 3 (1 row), 1 (1 row), "
            "2 (1 row), 0 (1 row); leave out such rows with --ignore-splits 3, or draw the "
            "splits again with --columns split=",
        ),
        (
            "1,001.Albatross/a.jpg,1,0",
            "1,001.Albatross/a.jpg,cat,0",
            "y is 'cat', expected 0 or 1 (also written as -1 and 1, true and false, yes and no)",
        ),
    ],
)
def test_names_file_row_and_value(root: Path, old: str, new: str, message: str):
    (root / FOLDER / "metadata.csv").write_text(METADATA.replace(old, new))
    assert load_error(root) == f"ROOT/{FOLDER}/metadata.csv, row 2: {message}"


def test_names_a_missing_column(root: Path):
    (root / FOLDER / "metadata.csv").write_text(METADATA.replace("place,", "location,"))
    assert load_error(root) == (
        f"ROOT/{FOLDER}/metadata.csv has no column attribute, found the columns img_id, "
        "img_filename, y, split, location, place_filename; name the one to take with "
        "--columns attribute=COLUMN"
    )


EXPECTED = (
    f"{FOLDER}/ (metadata.csv and a folder for each bird), "
    "or to that folder itself, or to the parent of WILDS' waterbirds_v1.0/"
)


def test_describes_the_expected_content_of_the_root(tmp_path: Path):
    assert load_error(tmp_path) == (
        "ROOT contains none of metadata.csv, metadata_waterbirds.csv; set --root to a folder that "
        f"contains {EXPECTED}"
    )


def test_describes_the_expected_content_of_a_missing_root(tmp_path: Path):
    assert load_error(tmp_path / "none") == (
        f"ROOT is not an existing folder; set --root to a folder that contains {EXPECTED}"
    )


def test_names_an_archive_that_is_not_unpacked(tmp_path: Path):
    (tmp_path / "waterbird_complete95_forest2water2.tar.gz").touch()
    assert load_error(tmp_path) == (
        "ROOT contains none of metadata.csv, metadata_waterbirds.csv; unpack "
        "ROOT/waterbird_complete95_forest2water2.tar.gz, or set --root to a folder that contains "
        f"{EXPECTED}"
    )


def test_says_that_a_root_is_a_file(tmp_path: Path):
    (tmp_path / "list.csv").touch()
    assert load_error(tmp_path / "list.csv") == (
        f"ROOT is a file and not a folder; set --root to a folder that contains {EXPECTED}"
    )
