"""Images of files, folders, archives and lists of paths."""

import shutil
import tarfile
from pathlib import Path

import pytest

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.predict.inputs import read_inputs
from clip_cfr.extract.predict.listed_images import ListedImages

IMAGES = ("a.png", "b/c.1.JPG", "b/c.2.jpg", "b/c.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images, whose contents are their own paths, and of other files."""
    root = tmp_path / "photos"
    for name in (*IMAGES, "notes.txt", ".hidden.png", "__MACOSX/a.png", "b/Thumbs.db"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def read_all(listed: ListedImages) -> dict[str, str]:
    """Return the contents of all images by name."""
    return {name: listed.images.read(row).decode() for row, name in enumerate(listed.names)}


def test_a_folder_holds_the_images_at_any_depth(folder):
    (listed,) = read_inputs([folder], skip_damage=False)
    assert read_all(listed) == {f"{folder}/{name}": name for name in IMAGES}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_holds_its_images(folder, kind):
    path = Path(shutil.make_archive(folder.parent / "a", kind, folder.parent, "photos"))
    (listed,) = read_inputs([path], skip_damage=False)
    assert read_all(listed) == {f"{path}/photos/{name}": name for name in IMAGES}


def test_inputs_are_joined_in_their_order_around_caches(folder):
    archive = Path(shutil.make_archive(folder.parent / "a", "zip", folder, "b"))
    cache = folder.parent / "c.h5"
    cache.touch()
    first, found, last = read_inputs(
        [folder / "b/c.png", archive, cache, folder / "a.png"], skip_damage=False
    )
    names = list(read_all(first).values())
    assert (names[0], sorted(names[1:])) == ("b/c.png", sorted(IMAGES[1:]))
    assert (found, read_all(last)) == (cache, {f"{folder}/a.png": "a.png"})


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("text", ["a.png\nb/c.png\n", "label,path\nx,a.png\ny,b/c.png\n"])
def test_a_list_names_files_beside_it(folder, text, absolute):
    start = f"{folder}/" if absolute else ""
    path = folder / "list.csv"
    path.write_text(text.replace("a.png", f"{start}a.png").replace("b/c", f"{start}b/c"))
    (listed,) = read_inputs([path], skip_damage=False)
    assert read_all(listed) == {f"{folder}/{name}": name for name in ("a.png", "b/c.png")}


def test_a_list_may_be_relative_to_the_working_directory(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    (tmp_path / "list.txt").write_text("a.png\n")
    (listed,) = read_inputs([tmp_path / "list.txt"], skip_damage=False)
    assert read_all(listed) == {"a.png": "a.png"}


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (
            "gone/a.png",
            "is neither in {folder}, the folder of the list, nor in {cwd}, the working directory, "
            "to which paths may be relative; move the list to the folder of its paths, or call "
            "predict from there",
        ),
        ("/gone/a.png", "does not exist; correct the paths"),
    ],
)
def test_a_list_whose_first_image_is_missing(folder, tmp_path, monkeypatch, first, reason):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    path = folder / "list.txt"
    path.write_text(f"{first}\na.png\n")
    found = reason.format(folder=folder, cwd=tmp_path / "elsewhere")
    message = f"{path}: its first image, {first}, {found}"
    with pytest.raises(ExtractError) as error:
        read_inputs([path], skip_damage=False)
    assert str(error.value) == message
    (listed,) = read_inputs([path], skip_damage=True)
    assert listed.warnings == (message,)
    assert listed.names[1] == f"{folder}/a.png"


def test_a_damaged_tar_is_read_up_to_the_damage_on_demand(folder):
    path = Path(shutil.make_archive(folder.parent / "a", "tar", folder))
    with tarfile.open(path) as tar:
        end = tar.getmember("./b/c.png").offset_data
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(ExtractError, match="is truncated or damaged"):
        read_inputs([path], skip_damage=False)
    (listed,) = read_inputs([path], skip_damage=True)
    assert 0 < len(listed.names) < len(IMAGES)
    assert listed.warnings[0].endswith("; left out the rest")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "none",
            None,
            " does not exist; name an image, a folder, a tar or zip archive, a list of ",
        ),
        ("empty/", None, ": expected images, found none; name files that end in .jpg or .png, "),
        ("a.csv", "x,y\n1,2\n", ": expected a column of image paths, such as filename, found the "),
        ("a.zip", "PK\x03\x04", " cannot be read as a zip archive (File is not a zip file); "),
        ("a.tar", "", " is empty, expected a tar archive; download it again"),
    ],
)
def test_an_input_without_images_is_refused(tmp_path, name, content, expected):
    path = tmp_path / name
    if name.endswith("/"):
        path.mkdir()
    if content is not None:
        path.write_text(content)
    with pytest.raises(ExtractError) as error:
        read_inputs([path], skip_damage=False)
    assert str(error.value).startswith(f"{path}{expected}")


def test_a_folder_of_archives_names_them(tmp_path):
    (tmp_path / "a.zip").touch()
    with pytest.raises(ExtractError) as error:
        read_inputs([tmp_path], skip_damage=False)
    assert str(error.value) == (
        f"{tmp_path}: expected images, found none; it holds a.zip: name such files themselves"
    )


def test_a_damaged_member_of_a_zip_is_unreadable(folder):
    path = Path(shutil.make_archive(folder.parent / "a", "zip", folder))
    path.write_bytes(path.read_bytes().replace(b"a.png", b"a.pnG", 1))
    (listed,) = read_inputs([path], skip_damage=False)
    with pytest.raises(OSError, match="differ"):
        read_all(listed)
