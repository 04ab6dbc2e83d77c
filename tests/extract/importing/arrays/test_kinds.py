"""Kinds of files that are recognized by their first bytes, whatever their names."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.extract.importing.arrays.reading import read, read_error


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty, expected a matrix; save it again"),
        (b"\xff\xd8\xff\xe0" + bytes(9), "is a JPEG image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(9), "is a PNG image"),
        (b"%PDF-1.7", "is a PDF document"),
        (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "is a MATLAB file"),
        (b"\x28\xb5\x2f\xfd" + bytes(9), "is a Zstandard archive"),
        (bytes(257) + b"ustar", "is a tar archive"),
        (b"<!DOCTYPE html><html>", "is an HTML page, as a failed download leaves it"),
        (b"\xef\xbb\xbf\n<html>", "is an HTML page, as a failed download leaves it"),
        (b"<?xml version='1.0'?>", "is an XML file"),
        (b"[[0.1, 0.2], [0.3, 0.4]]", "is a JSON file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "is a Git LFS pointer, for which git lfs pull fetches the file",
        ),
        (
            np.arange(1, 7, dtype="<f4").tobytes(),
            "is a file of an unknown kind, which begins with b'\\x00\\x00\\x80?\\x00\\x00\\x00@'",
        ),
    ],
)
def test_other_kinds_are_named(tmp_path: Path, content: bytes, found: str):
    (tmp_path / "F.npy").write_bytes(content)
    message = read_error(tmp_path / "F.npy")
    if content:
        found += ", expected a matrix of numbers; save the array with numpy.save as a .npy file"
    assert message == f"DIR/F.npy {found}"


def test_archives_of_other_files_are_named(tmp_path: Path):
    for name, found in (("a.jpg", "a ZIP archive of a.jpg"), ("[Content_Types].xml", "an Excel")):
        with zipfile.ZipFile(tmp_path / "F.npz", "w") as archive:
            archive.writestr(name, b"")
        assert f"DIR/F.npz is {found}" in read_error(tmp_path / "F.npz")


def test_the_name_of_a_file_does_not_matter(tmp_path: Path, matrix: np.ndarray):
    for name in ("F.npy", "F.csv", "F.pt", "F", "F.h5"):
        with (tmp_path / name).open("wb") as file:
            np.save(file, matrix)
        np.testing.assert_array_equal(read(tmp_path / name), matrix)
        with (tmp_path / name).open("wb") as file:
            np.savez(file, matrix)
        np.testing.assert_array_equal(read(tmp_path / name), matrix)


def test_a_missing_file_is_named(tmp_path: Path):
    assert read_error(tmp_path / "F.npy") == (
        "DIR/F.npy cannot be read (No such file or directory); check the path"
    )


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_reads_pickles_of_arrays(tmp_path: Path, matrix: np.ndarray, protocol: int):
    content = {"train": {"features": matrix, "labels": [0, 1]}, "names": ["a", "b"]}
    for each in (matrix, [*matrix], content, {"x": np.asfortranarray(matrix)}):
        (tmp_path / "F.pkl").write_bytes(pickle.dumps(each, protocol))
        np.testing.assert_array_equal(read(tmp_path / "F.pkl"), matrix)


class Harmful:
    """An object whose pickle would create a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_runs_no_code_of_a_pickle(tmp_path: Path):
    (tmp_path / "F.pkl").write_bytes(pickle.dumps([Harmful(tmp_path / "created")]))
    assert read_error(tmp_path / "F.pkl").endswith(
        "; it is not read, because it may run code: where it was made, save the array with "
        "numpy.save as a .npy file"
    )
    assert not (tmp_path / "created").exists()


@pytest.mark.parametrize("length", [3, 40, 120])
def test_rejects_truncated_pickles(tmp_path: Path, matrix: np.ndarray, length: int):
    (tmp_path / "F.pkl").write_bytes(pickle.dumps(matrix)[:length])
    assert "DIR/F.pkl is a Python pickle that is damaged or" in read_error(tmp_path / "F.pkl")
