from pathlib import Path

import pytest

from clip_cfr.extract.datasets.common.image_paths import normalise_paths, require_images
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError


def make_table(*paths: str) -> Table:
    """A table whose first entry is in row 2."""
    return Table(Path("list.csv"), {"path": paths}, tuple(range(2, 2 + len(paths))))


def normalise_error(*paths: str) -> str:
    with pytest.raises(ExtractError) as error:
        normalise_paths(make_table(*paths), paths)
    return str(error.value)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.jpg", "a.jpg"), ("./a//b.jpg", "a/b.jpg"), ("a/../b.jpg", "b.jpg"), ("..a/b", "..a/b")],
)
def test_shortens_paths(path: str, expected: str):
    assert normalise_paths(make_table(path), [path]) == (expected,)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../a", "a/../../b", "..", ".", "..\\a", "C:\\a", "\\\\host\\share\\a"]
)
def test_rejects_paths_outside_the_root(path: str):
    assert normalise_error(path) == (
        f"list.csv, row 2: the image path {path!r} is not inside the root, "
        "expected a path relative to the root"
    )


def test_rejects_an_empty_path():
    assert normalise_error("a.jpg", "") == (
        "list.csv, row 3: the image path is empty, expected a path relative to the root"
    )


def test_rejects_two_spellings_of_one_path():
    assert normalise_error("a", "b", "./a") == (
        "list.csv, row 4: the image 'a' is already listed in row 2; remove one of the two rows"
    )


def test_names_the_first_missing_image(tmp_path: Path, write_images):
    write_images(tmp_path, ["x/a.jpg", "x/b.jpg"])
    require_images(tmp_path, make_table("x/a.jpg", "x/b.jpg"), ["x/a.jpg", "x/b.jpg"])
    paths = ["x/a.jpg", "x/c.jpg", "y/a.jpg"]
    with pytest.raises(ExtractError) as error:
        require_images(tmp_path, make_table(*paths), paths)
    assert str(error.value) == (
        f"list.csv, row 3: the image {tmp_path}/x/c.jpg does not exist "
        "(2 of 3 images are missing); complete the folder or correct --root"
    )


def test_names_a_folder_that_cannot_be_listed(tmp_path: Path):
    path = f"{'x' * 300}/0.jpg"
    with pytest.raises(ExtractError) as error:
        require_images(tmp_path, make_table(path), [path])
    assert str(error.value) == (
        f"{tmp_path}/{'x' * 300} cannot be listed (File name too long); check the folder and --root"
    )
