import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.datasets.metashift import FOLDER, GROUPS, draw_splits, read_metadata_rows
from clip_cfr.extract.datasets.tables.read_table import read_table
from tests.extract.datasets import loading

load = partial(loading.load, "metashift")
load_error = partial(loading.load_error, "metashift")

PATHS = [f"{folder}/{number}.jpg" for folder in GROUPS for number in range(10)]
EXPECTED = (
    f"{FOLDER}/ (with test/cat/cat(outdoor)/, test/dog/dog(indoor)/, train/cat/cat(indoor)/, "
    "train/dog/dog(outdoor)/), or to that folder itself"
)


@pytest.fixture
def root(tmp_path: Path, write_images) -> Path:
    write_images(tmp_path / FOLDER, PATHS)
    return tmp_path


def write_metadata(path: Path) -> None:
    """Write a metadata file with three rows and absolute paths of another machine."""
    prefix = f"/home/someone/data/metashift/{FOLDER}"
    path.write_bytes(
        f"filename,y,a,split\r\n{prefix}/train/cat/cat(indoor)/3.jpg,1,1,2\r\n"
        f"{prefix}/test/dog/dog(indoor)/0.jpg,0,1,0\r\n"
        f"{prefix}/train/dog/dog(outdoor)/7.jpg,0,0,1\r\n".encode()
    )


@pytest.mark.parametrize("location", ["metadata_metashift.csv", f"{FOLDER}/metadata_metashift.csv"])
def test_reads_the_metadata_file(root: Path, location: str, jpeg: bytes):
    write_metadata(root / location)
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
        "metashift: the data set has 1/1/0/1 rows, the published counts are 1184/773/294/1248",
    )
    assert load(root / FOLDER).sha256() == manifest.sha256()


def test_paths_of_windows_are_taken(root: Path):
    write_metadata(root / "metadata_metashift.csv")
    expected = load(root).sha256()
    path = root / "metadata_metashift.csv"
    path.write_text(path.read_text().replace("/home", "C:/Users").replace("/", "\\"))
    assert load(root).sha256() == expected


def test_a_given_metadata_file_takes_precedence(root: Path):
    write_metadata(root / "list.csv")
    assert len(load(root, metadata=root / "list.csv").rows) == 3


def test_reads_the_published_metadata_file(published_file, tmp_path: Path):
    path = published_file("metadata_metashift.csv")
    for line in path.read_text().splitlines()[1:]:
        image = tmp_path / line.split(",")[0].partition(f"{FOLDER}/")[2]
        image.parent.mkdir(parents=True, exist_ok=True)
        image.touch()
    rows, _ = read_metadata_rows(tmp_path, read_table(path))
    assert rows.ids[0] == "train/cat/cat(indoor)/2320061.jpg"
    groups = rows.labels * 2 + rows.attributes
    assert [np.bincount(groups[rows.splits == split]).tolist() for split in range(3)] == [
        [784, 507, 196, 789],
        [127, 75, 33, 114],
        [273, 191, 65, 345],
    ]
    shutil.copy(path, tmp_path)
    assert load(tmp_path).warnings == ()


def test_draws_splits_without_a_metadata_file(root: Path):
    manifest = load(root)
    assert manifest.rows.ids == tuple(sorted(PATHS))
    assert np.bincount(manifest.rows.splits).tolist() == [26, 4, 10]
    for path, label, attribute in zip(
        manifest.rows.ids, manifest.rows.labels, manifest.rows.attributes, strict=True
    ):
        assert GROUPS[path.rpartition("/")[0]] == (label, attribute)
    assert manifest.warnings[0] == (
        "metashift: no metadata_metashift.csv found; drew the splits with seed 42 over the images "
        "sorted by path. SubpopBench draws over the order of the file system, so its splits differ"
    )
    assert manifest.sha256() == load(root / FOLDER).sha256()
    assert manifest.sha256() != load(root, seed=1).sha256()


def test_the_draw_is_that_of_subpopbench(published_file):
    """The published file has the order of the file system that the draw was made over."""
    table = read_table(published_file("metadata_metashift.csv"))
    assert draw_splits(len(table), 42).tolist() == [int(split) for split in table.columns["split"]]


def test_the_draw_of_a_seed_never_changes():
    splits = draw_splits(40, 42)
    assert np.flatnonzero(splits == 2).tolist() == [4, 6, 12, 15, 16, 19, 26, 27, 37, 39]
    assert np.flatnonzero(splits == 1).tolist() == [5, 21, 30, 33]


def test_takes_images_whatever_their_ending(root: Path):
    expected = load(root)
    for number, ending in enumerate((".jpeg", ".JPG", ".JPEG", ".png")):
        (root / FOLDER / PATHS[number]).rename((root / FOLDER / PATHS[number]).with_suffix(ending))
    rows = load(root).rows
    assert [Path(name).stem for name in rows.ids] == [Path(name).stem for name in expected.rows.ids]
    assert rows.labels.tolist() == expected.rows.labels.tolist()


def test_passes_over_leftovers_of_systems(root: Path):
    expected = load(root).sha256()
    for folder in GROUPS:
        for name in ("._0.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.jpg"):
            (root / FOLDER / folder / name).write_bytes(b"leftover")
    (root / "__MACOSX" / FOLDER).mkdir(parents=True)
    assert load(root).sha256() == expected


@pytest.mark.parametrize("name", ["metashift/" + FOLDER, "data/cats and dogs"])
@pytest.mark.parametrize("has_metadata", [False, True])
def test_finds_the_folder_deeper(root: Path, name: str, has_metadata: bool):
    if has_metadata:
        write_metadata(root / "metadata_metashift.csv")
    expected = load(root)
    (root / name).parent.mkdir()
    (root / FOLDER).rename(root / name)
    manifest = load(root)
    assert manifest.sha256() == expected.sha256()
    assert manifest.images.root == root / name


def test_rejects_a_path_outside_the_folder(root: Path):
    (root / "list.csv").write_text("filename,y,a,split\n/home/else/3.jpg,1,1,2\n")
    assert load_error(root, metadata=root / "list.csv") == (
        "ROOT/list.csv, row 2: the image path '/home/else/3.jpg' is not inside the root, "
        "expected a path relative to the root"
    )
    (root / "list.csv").write_text(f"filename,y,a,split\n/x/{FOLDER}/../3.jpg,1,1,2\n")
    assert load_error(root, metadata=root / "list.csv") == (
        "ROOT/list.csv, row 2: the image path '../3.jpg' is not inside the root, "
        "expected a path relative to the root"
    )


def test_names_a_missing_image(root: Path):
    write_metadata(root / "metadata_metashift.csv")
    (root / FOLDER / "test/dog/dog(indoor)/0.jpg").unlink()
    assert load_error(root) == (
        "ROOT/metadata_metashift.csv, row 3: the image "
        f"ROOT/{FOLDER}/test/dog/dog(indoor)/0.jpg does not exist (1 of 3 images is missing); "
        "complete the folder, correct --root, shorten the list, or keep their rows as not valid "
        "with --on-error skip"
    )


def test_names_a_missing_folder(root: Path):
    shutil.rmtree(root / FOLDER / "test" / "cat")
    assert load_error(root) == (
        f"ROOT/{FOLDER}/test/cat/cat(outdoor) contains no images; "
        f"set --root to a folder that contains {EXPECTED}"
    )
