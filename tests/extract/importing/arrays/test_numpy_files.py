"""Arrays of .npy and .npz files, in every layout that NumPy writes."""

import contextlib
import gzip
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse

from clip_cfr.extract.errors import ExtractError
from tests.extract.importing.arrays.reading import read, read_columns, read_error


@pytest.fixture
def path(tmp_path: Path, matrix: np.ndarray) -> Path:
    np.save(tmp_path / "F.npy", matrix)
    return tmp_path / "F.npy"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f2", ">f4", ">f8"])
def test_types(path: Path, matrix: np.ndarray, dtype: str):
    np.save(path, matrix.astype(dtype))
    found = read(path)
    assert found.dtype == (np.float16 if dtype in ("float16", ">f2") else np.float32)
    np.testing.assert_array_equal(found, matrix.astype(dtype).astype(found.dtype))


def test_bfloat16_becomes_float32(path: Path, matrix: np.ndarray):
    rounded = matrix.astype(ml_dtypes.bfloat16)
    np.save(path, rounded)
    assert np.load(path).dtype == np.dtype("V2")
    np.testing.assert_array_equal(read(path), rounded.astype(np.float32))


@pytest.mark.parametrize("shape", [(5, 1, 6), (1, 5, 6), (5, 6, 1, 1), (1, 1, 5, 6)])
def test_drops_axes_of_length_1(path: Path, matrix: np.ndarray, shape: tuple[int, ...]):
    np.save(path, matrix.reshape(shape))
    np.testing.assert_array_equal(read(path), matrix)


@pytest.mark.parametrize("shape", [(1, 6), (1, 1, 6), (6, 1)])
def test_keeps_single_rows_and_columns(path: Path, matrix: np.ndarray, shape: tuple[int, ...]):
    np.save(path, matrix[0].reshape(shape))
    expected = (1, 6) if shape[-1] == 6 else (6, 1)
    np.testing.assert_array_equal(read(path), matrix[0].reshape(expected))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_npz_files(tmp_path: Path, matrix: np.ndarray, save, order: str):
    save(tmp_path / "F.npz", features=np.asarray(matrix, order=order), labels=np.arange(5))
    np.testing.assert_array_equal(read(tmp_path / "F.npz"), matrix)
    np.testing.assert_array_equal(read(f"{tmp_path}/F.npz:features"), matrix)


def test_reads_fortran_order(path: Path, matrix: np.ndarray):
    np.save(path, np.asfortranarray(matrix))
    np.testing.assert_array_equal(read(path), matrix)


def test_reads_compressed_files(tmp_path: Path, matrix: np.ndarray):
    for order in "CF":
        with gzip.open(tmp_path / "F.npy.gz", "wb") as file:
            np.save(file, np.asarray(matrix, order=order))
        np.testing.assert_array_equal(read(tmp_path / "F.npy.gz"), matrix)


def test_lists_the_matrices_if_there_are_several(tmp_path: Path, matrix: np.ndarray):
    np.savez(tmp_path / "F.npz", train=matrix, test=matrix[:2], labels=np.arange(5))
    assert read_error(tmp_path / "F.npz") == (
        "DIR/F.npz has 2 matrices, expected one: train (float32 5 x 6), test (float32 2 x 6); "
        "choose one as DIR/F.npz:train"
    )
    np.testing.assert_array_equal(read(f"{tmp_path}/F.npz:test"), matrix[:2])


def test_lists_the_arrays_if_a_key_is_missing(tmp_path: Path, matrix: np.ndarray):
    np.savez(tmp_path / "F.npz", train=matrix, labels=np.arange(5))
    assert read_error(f"{tmp_path}/F.npz:x") == (
        "DIR/F.npz has no array 'x'; it has train (float32 5 x 6), labels (int64 5)"
    )


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((5, 2), np.int64), "dtype int64 and shape (5, 2)"),
        (np.zeros(5), "dtype float64 and shape (5,)"),
        (np.zeros((0, 4)), "dtype float64 and shape (0, 4)"),
        (np.zeros((5, 2), complex), "dtype complex128 and shape (5, 2)"),
        (np.zeros(()), "dtype float64 and shape ()"),
        (np.array([["a", "b"]]), "dtype str32 and shape (1, 2)"),
    ],
)
def test_rejects_other_arrays_than_matrices(path: Path, array: np.ndarray, found: str):
    np.save(path, array)
    assert read_error(path).startswith(
        f"DIR/F.npy has {found}, expected a non-empty matrix of float16, bfloat16, float32 or "
        "float64"
    )


def test_says_how_whole_numbers_become_features(path: Path):
    np.save(path, np.zeros((5, 2), np.uint8))
    assert read_error(path).endswith(
        "; if these whole numbers are features, save features.astype('float32')"
    )


def test_names_sparse_matrices(tmp_path: Path, matrix: np.ndarray):
    scipy.sparse.save_npz(tmp_path / "F.npz", scipy.sparse.csr_array(matrix))
    message = read_error(tmp_path / "F.npz")
    assert message.startswith("DIR/F.npz has no matrix of numbers, found ")
    assert message.endswith("; it is a sparse matrix of SciPy: save its toarray()")


def test_arrays_beside_the_features_are_its_columns(tmp_path: Path, matrix: np.ndarray):
    names = np.array(["a.jpg", "b.jpg", "c.jpg", "d.jpg", "é.jpg"])
    arrays = {"features": matrix, "labels": np.arange(5), "names": names, "other": np.arange(4)}
    np.savez(tmp_path / "F.npz", **arrays)
    assert read_columns(tmp_path / "F.npz") == {
        "labels": ("0", "1", "2", "3", "4"),
        "names": tuple(names),
    }


def test_says_that_tokens_are_to_be_pooled(path: Path):
    np.save(path, np.zeros((5, 50, 6), np.float16))
    assert read_error(path) == (
        "DIR/F.npy has dtype float16 and shape (5, 50, 6), expected a non-empty matrix of float16, "
        "bfloat16, float32 or float64; pool the middle axes, such as tokens, into one vector for "
        "each image"
    )


def test_rejects_python_objects(path: Path):
    np.save(path, np.array([{}], object), allow_pickle=True)
    assert read_error(path) == (
        "DIR/F.npy holds Python objects, such as arrays of different lengths, expected numbers; "
        "stack the arrays with numpy.stack and save the result with numpy.save"
    )


@pytest.mark.parametrize(
    ("length", "found"),
    [
        (5, "is a truncated npy file of 5 bytes, expected a matrix of numbers"),
        (100, "is truncated or damaged (EOF: reading array header, expected 118 bytes got 90)"),
        (200, "is truncated or damaged (it has 200 bytes, expected 248)"),
    ],
)
def test_rejects_a_truncated_file(path: Path, length: int, found: str):
    path.write_bytes(path.read_bytes()[:length])
    assert read_error(path) == f"DIR/F.npy {found}; save the array with numpy.save as a .npy file"


@pytest.mark.parametrize("position", range(10, 70, 3))
def test_no_damaged_header_ends_in_a_traceback(path: Path, position: int):
    content = path.read_bytes()
    for bit in range(8):
        damaged = bytearray(content)
        damaged[position] ^= 1 << bit
        path.write_bytes(damaged)
        with contextlib.suppress(ExtractError):
            read(path)


def test_rejects_truncated_compressed_files(tmp_path: Path, matrix: np.ndarray):
    with gzip.open(tmp_path / "F.npy.gz", "wb") as file:
        np.save(file, matrix)
    content = (tmp_path / "F.npy.gz").read_bytes()
    for length in (40, len(content) - 20):
        (tmp_path / "F.npy.gz").write_bytes(content[:length])
        assert "F.npy.gz is truncated or damaged (" in read_error(tmp_path / "F.npy.gz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_detects_a_flipped_bit_in_an_npz_file(tmp_path: Path, matrix: np.ndarray, save):
    save(tmp_path / "F.npz", matrix)
    content = bytearray((tmp_path / "F.npz").read_bytes())
    content[220] ^= 1
    (tmp_path / "F.npz").write_bytes(content)
    assert "DIR/F.npz is truncated or damaged (" in read_error(tmp_path / "F.npz")


@pytest.mark.parametrize(
    ("offset", "value", "found"),
    [(6, 99, "zip file version 9.9"), (3, 0, "Bad magic number for central directory")],
)
def test_rejects_an_npz_file_with_a_damaged_directory(
    tmp_path: Path, matrix: np.ndarray, offset: int, value: int, found: str
):
    np.savez(tmp_path / "F.npz", matrix)
    content = bytearray((tmp_path / "F.npz").read_bytes())
    content[content.index(b"PK\x01\x02") + offset] = value
    (tmp_path / "F.npz").write_bytes(content)
    assert read_error(tmp_path / "F.npz") == (
        f"DIR/F.npz is a truncated or damaged ZIP file, which .npz and .pt files are ({found}); "
        "save or copy it again"
    )


def test_rejects_a_truncated_npz_file(tmp_path: Path, matrix: np.ndarray):
    np.savez(tmp_path / "F.npz", matrix)
    (tmp_path / "F.npz").write_bytes((tmp_path / "F.npz").read_bytes()[:300])
    assert read_error(tmp_path / "F.npz") == (
        "DIR/F.npz is a truncated or damaged ZIP file, which .npz and .pt files are (File is not a "
        "zip file); save or copy it again"
    )
