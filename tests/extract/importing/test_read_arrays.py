import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.read_arrays import read_matrix, read_nonzero_rows


@pytest.fixture
def matrix() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path, matrix: np.ndarray) -> Path:
    np.save(tmp_path / "F.npy", matrix)
    return tmp_path / "F.npy"


def read_error(path: Path) -> str:
    """Return the message of the exception that reading raises, with DIR for the folder."""
    with pytest.raises(ExtractError) as error:
        read_nonzero_rows(path)
    return str(error.value).replace(str(path.parent), "DIR")


def test_reads_an_npz_file_with_one_array(path: Path, matrix: np.ndarray):
    np.savez(path.with_suffix(".npz"), embeddings=matrix)
    np.testing.assert_array_equal(read_matrix(path.with_suffix(".npz")), matrix)


def test_rejects_an_npz_file_with_two_arrays(path: Path, matrix: np.ndarray):
    np.savez(path.with_suffix(".npz"), train=matrix, test=matrix)
    assert read_error(path.with_suffix(".npz")) == (
        "DIR/F.npz contains the arrays train, test, expected one; save the right one as a .npy file"
    )


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((5, 2), np.int64), "dtype int64 and shape (5, 2)"),
        (np.zeros(5), "dtype float64 and shape (5,)"),
        (np.zeros((0, 4)), "dtype float64 and shape (0, 4)"),
        (np.zeros((5, 2), complex), "dtype complex128 and shape (5, 2)"),
    ],
)
def test_rejects_other_arrays_than_matrices(path: Path, array: np.ndarray, found: str):
    np.save(path, array)
    assert read_error(path) == (
        f"DIR/F.npy has {found}, expected a non-empty matrix of float16, float32 or float64"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_names_rows_that_are_not_finite(path: Path, matrix: np.ndarray, value: float):
    matrix = matrix.astype(np.float64)
    matrix[[1, 3], 2] = value
    np.save(path, matrix)
    assert read_error(path) == (
        "DIR/F.npy: 2 of 5 rows contain NaN or infinity (indices from 0: 1, 3); "
        "compute them again, or remove them from every file"
    )


def test_names_the_first_ten_rows_that_are_zero(path: Path, matrix: np.ndarray):
    np.save(path, np.concatenate([matrix] + [matrix * 0] * 3))
    assert read_error(path) == (
        "DIR/F.npy: 15 of 20 rows are all zero and have no direction "
        "(indices from 0: 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, ...); "
        "compute them again, or remove them from every file"
    )


def test_zero_rows_of_a_projection_are_allowed(path: Path, matrix: np.ndarray):
    matrix[2] = 0
    np.save(path, matrix)
    np.testing.assert_array_equal(read_matrix(path), matrix)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (
            "F.pt",
            "import torch, numpy; numpy.save('DIR/F.npy', "
            "torch.load('DIR/F.pt', weights_only=True).numpy())",
        ),
        (
            "F.pkl",
            "import pickle, numpy; numpy.save('DIR/F.npy', pickle.load(open('DIR/F.pkl', 'rb')))",
        ),
    ],
)
def test_rejects_pickles_with_a_command_that_converts_them(path: Path, name: str, command: str):
    assert read_error(path.with_name(name)) == (
        f"DIR/{name} is a pickle, which may run any code, so it is not read; if you trust it, "
        f'convert it: python -c "{command}"'
    )


def test_the_command_converts_a_tensor(path: Path, matrix: np.ndarray):
    torch = pytest.importorskip("torch")
    path.unlink()
    torch.save(torch.from_numpy(matrix), path.with_suffix(".pt"))
    with pytest.raises(ExtractError) as error:
        read_matrix(path.with_suffix(".pt"))
    code = str(error.value).partition('-c "')[2].removesuffix('"')
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_array_equal(read_matrix(path), matrix)


def test_rejects_a_pickle_in_an_npy_file(path: Path):
    np.save(path, np.array([{}], object), allow_pickle=True)
    assert read_error(path) == (
        "DIR/F.npy is not a valid .npy or .npz file (Object arrays cannot be loaded when "
        "allow_pickle=False); save the array with numpy.save"
    )


@pytest.mark.parametrize("length", [0, 5, 100, 200])
def test_rejects_a_truncated_file(path: Path, length: int):
    path.write_bytes(path.read_bytes()[:length])
    message = read_error(path)
    assert message.startswith("DIR/F.npy is not a valid .npy or .npz file (")
    assert message.endswith("); save the array with numpy.save")


def test_rejects_a_missing_file(path: Path):
    path.unlink()
    assert read_error(path) == (
        "DIR/F.npy cannot be read (No such file or directory); check the path"
    )
