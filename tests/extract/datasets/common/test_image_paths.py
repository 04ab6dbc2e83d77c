import os
import unicodedata
from pathlib import Path

import pytest

from clip_cfr.extract.datasets.common.image_paths import locate_images
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError

REMEDY = (
    "complete the folder, correct --root, shorten the list, or keep their rows as not valid with "
    "--on-error skip"
)


def make_table(folder: Path, *paths: str) -> Table:
    """A table whose first entry is in row 2."""
    return Table(folder / "list.csv", {"path": paths}, tuple(range(2, 2 + len(paths))))


def locate(root: Path, *paths: str, skip_missing: bool = False):
    return locate_images(root, make_table(root, *paths), paths, skip_missing=skip_missing)


def locate_error(root: Path, *paths: str, **options) -> str:
    """Return the message of the exception that the search raises, with ROOT for the root."""
    with pytest.raises(ExtractError) as error:
        locate(root, *paths, **options)
    return str(error.value).replace(str(root), "ROOT")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.jpg", "a.jpg"), ("./x//b.jpg", "x/b.jpg"), ("x/../a.jpg", "a.jpg"), ("..a/b", "..a/b")],
)
def test_shortens_paths(tmp_path: Path, write_images, path: str, expected: str):
    write_images(tmp_path, ["a.jpg", "x/b.jpg", "..a/b"])
    assert locate(tmp_path, path).paths == (expected,)


def test_repeated_paths_are_left_to_the_caller(tmp_path: Path, write_images):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    assert locate(tmp_path, "a.jpg", "b.jpg", "./a.jpg").paths == ("a.jpg", "b.jpg", "a.jpg")


def test_paths_inside_the_root_become_relative(tmp_path: Path, write_images):
    write_images(tmp_path / "real", ["x/a.jpg"])
    (tmp_path / "link").symlink_to("real")
    for root in ("real", "link"):
        for given in ("real", "link", "link/../real"):
            found = locate(tmp_path / root, f"{tmp_path}/{given}/x/a.jpg")
            if (root, given) != ("real", "link"):
                assert (found.paths, found.warnings) == (("x/a.jpg",), ())


def test_a_relative_root_has_absolute_paths_too(tmp_path: Path, write_images, monkeypatch):
    write_images(tmp_path / "photos", ["a.jpg"])
    monkeypatch.chdir(tmp_path)
    found = locate(Path("photos"), str(tmp_path / "photos" / "a.jpg"))
    assert (found.paths, found.warnings) == (("a.jpg",), ())


@pytest.mark.parametrize("path", ["x\\a.jpg", ".\\x\\a.jpg", "x\\\\a.jpg"])
def test_backslashes_separate_folders_where_they_name_no_file(
    tmp_path: Path, write_images, path: str
):
    write_images(tmp_path, ["x/a.jpg"])
    found = locate(tmp_path, path)
    assert (found.paths, found.warnings) == (("x/a.jpg",), ())


def test_a_backslash_in_a_file_name_stays(tmp_path: Path, write_images):
    write_images(tmp_path, ["x\\a.jpg", "x/a.jpg"])
    assert locate(tmp_path, "x\\a.jpg").paths == ("x\\a.jpg",)


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("listed", ["NFC", "NFD"])
def test_names_match_in_every_unicode_form(tmp_path: Path, write_images, on_disk, listed):
    name = unicodedata.normalize(on_disk, "Zoë/ünï.jpg")
    write_images(tmp_path, [name])
    assert locate(tmp_path, unicodedata.normalize(listed, "Zoë/ünï.jpg")).paths == (name,)


@pytest.mark.parametrize(
    ("listed", "on_disk"),
    [
        ("a.jpg", "a.JPG"),
        ("a.jpg", "a.jpeg"),
        ("A.jpg", "a.png"),
        ("a", "a.jpg"),
        ("a", "a.PNG"),
        ("000001.jpg", "000001.png"),
        ("Cat/A.jpg", "cat/a.jpg"),
        ("1.2", "1.2.jpg"),
    ],
)
def test_endings_and_case_may_differ(tmp_path: Path, write_images, listed: str, on_disk: str):
    write_images(tmp_path, [on_disk, "other.jpg"])
    found = locate(tmp_path, listed, "other.jpg")
    assert found.paths == (on_disk, "other.jpg")
    assert found.warnings == (
        f"{tmp_path}/list.csv: 1 of 2 images is not at the path of the list but was found at a "
        f"similar one: row 2 is {listed!r}, the file is {on_disk!r}",
    )


def test_the_closest_spelling_counts(tmp_path: Path, write_images):
    write_images(tmp_path, ["a.JPG", "a.png"])
    assert locate(tmp_path, "a.jpg").paths == ("a.JPG",)


def test_a_folder_is_not_an_image(tmp_path: Path, write_images):
    write_images(tmp_path, ["a/b.jpg", "a.jpg"])
    assert locate(tmp_path, "a").paths == ("a.jpg",)


def test_of_two_files_that_fit_none_is_taken(tmp_path: Path, write_images):
    write_images(tmp_path, ["a.png", "a.gif"])
    assert locate_error(tmp_path, "a.jpg") == (
        "ROOT/list.csv, row 2: the image ROOT/a.jpg does not exist (1 of 1 images is missing); "
        "correct --root, now ROOT, which holds a.gif, or the paths of the list"
    )


def test_two_entries_never_share_a_file(tmp_path: Path, write_images):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    assert "(1 of 2 images is missing)" in locate_error(tmp_path, "a.jpg", "a.png")
    assert "(2 of 2 images are missing)" in locate_error(tmp_path, "a.gif", "a.png")


@pytest.mark.parametrize(
    ("listed", "on_disk"),
    [
        # The root is one folder too high, or too deep.
        (["1.jpg", "2.jpg"], ["images/1.jpg", "images/2.jpg"]),
        (["x/1.jpg", "2.jpg"], ["data/images/x/1.jpg", "data/images/2.jpg"]),
        (["photos/x/1.jpg", "photos/2.jpg"], ["x/1.jpg", "2.jpg"]),
        # Absolute paths of another machine.
        (["/home/me/set/x/1.jpg", "/home/me/set/2.jpg"], ["x/1.jpg", "2.jpg"]),
        (["D:\\set\\x\\1.jpg", "D:\\set\\2.jpg"], ["x/1.jpg", "2.jpg"]),
        (["\\\\host\\set\\x\\1.jpg", "\\\\host\\set\\2.jpg"], ["x/1.jpg", "2.jpg"]),
        (["/home/me/set/x/1.jpg", "/home/me/set/2.jpg"], ["images/x/1.jpg", "images/2.jpg"]),
        (["../images/1.jpg", "../images/2.jpg"], ["images/1.jpg", "images/2.jpg"]),
    ],
)
def test_all_paths_may_be_relative_to_another_folder(
    tmp_path: Path, write_images, listed: list[str], on_disk: list[str]
):
    write_images(tmp_path, on_disk)
    found = locate(tmp_path, *listed)
    assert found.paths == tuple(on_disk)
    assert f"row 2 is {listed[0]!r}, the file is {on_disk[0]!r}" in found.warnings[0]


def test_the_folder_of_the_list_precedes_others(tmp_path: Path, write_images):
    write_images(tmp_path, ["train/1.jpg", "test/1.jpg"])
    table = Table(tmp_path / "train" / "list.csv", {"path": ("1.jpg",)}, (2,))
    assert locate_images(tmp_path, table, ["1.jpg"]).paths == ("train/1.jpg",)


def test_two_folders_that_fit_are_none(tmp_path: Path, write_images):
    write_images(tmp_path, ["x/1.jpg", "y/1.jpg"])
    message = locate_error(tmp_path, "1.jpg")
    assert message == (
        "ROOT/list.csv, row 2: the image ROOT/1.jpg does not exist (1 of 1 images is missing); "
        "correct --root, now ROOT, which holds x, or the paths of the list"
    )


def test_some_missing_images_do_not_move_the_others(tmp_path: Path, write_images):
    write_images(tmp_path, ["x/1.jpg", "x/2.jpg", "y/3.jpg"])
    assert locate_error(tmp_path, "x/1.jpg", "x/2.jpg", "x/3.jpg") == (
        "ROOT/list.csv, row 4: the image ROOT/x/3.jpg does not exist (1 of 3 images is missing); "
        f"there is ROOT/y/3.jpg; {REMEDY}"
    )


def test_names_the_file_beside_the_root(tmp_path: Path, write_images):
    write_images(tmp_path, ["lists/other.jpg", "images/1.jpg"])
    message = locate_error(tmp_path / "lists", "images/1.jpg")
    assert f"there is {tmp_path}/images/1.jpg; correct --root, now ROOT" in message


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../a", "a/../../b", "..", "..\\a", "C:\\a", "\\\\host\\share\\a"]
)
def test_rejects_paths_outside_the_root(tmp_path: Path, path: str):
    shown = os.path.normpath(path)
    assert locate_error(tmp_path, path) == (
        f"ROOT/list.csv, row 2: the image path {shown!r} is not inside the root, "
        "expected a path relative to the root"
    )


@pytest.mark.parametrize("url", ["https://example.org/x/a.jpg", "s3://images/a.jpg"])
def test_urls_are_not_files(tmp_path: Path, write_images, url: str):
    write_images(tmp_path, ["b.jpg"])
    assert locate_error(tmp_path, url) == (
        f"ROOT/list.csv, row 2: {url} is the URL of an image, expected a file; download "
        "the images and list their files, or download them into archives with img2dataset and "
        "name those with --dataset webdataset"
    )


def test_rejects_an_empty_path(tmp_path: Path, write_images):
    write_images(tmp_path, ["a.jpg"])
    assert locate_error(tmp_path, "a.jpg", "") == (
        "ROOT/list.csv, row 3: the image path is empty, expected a path relative to the root"
    )


def test_missing_images_can_be_skipped(tmp_path: Path, write_images):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    found = locate(tmp_path, "a.jpg", "c.jpg", "b.jpg", "d.jpg", skip_missing=True)
    assert found.paths == ("a.jpg", "c.jpg", "b.jpg", "d.jpg")
    assert found.warnings == (
        f"{tmp_path}/list.csv, row 3: the image {tmp_path}/c.jpg does not exist (2 of 4 images are "
        "missing); kept as not valid (--on-error skip)",
    )


def test_all_images_missing_is_an_error_in_any_case(tmp_path: Path, write_images):
    write_images(tmp_path, ["a.jpg"])
    assert locate_error(tmp_path, "c.jpg", skip_missing=True) == (
        "ROOT/list.csv, row 2: the image ROOT/c.jpg does not exist (1 of 1 images is missing); "
        "correct --root, now ROOT, which holds a.jpg, or the paths of the list"
    )


def test_names_a_folder_that_cannot_be_listed(tmp_path: Path):
    assert locate_error(tmp_path, f"{'x' * 300}/0.jpg") == (
        f"ROOT/{'x' * 300} cannot be listed (File name too long); check the folder and --root"
    )
