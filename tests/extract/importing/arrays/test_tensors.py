"""Tensors of safetensors files and of files of torch.save."""

import json
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from tests.extract.importing.arrays.reading import read, read_columns, read_error


def write_safetensors(path: Path, tensors: dict[str, tuple[str, np.ndarray]]):
    """Write tensors, each with the name of its type, as the format describes it."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, array) in tensors.items():
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_reads_safetensors_without_torch(tmp_path: Path, matrix: np.ndarray, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / "F.safetensors"
    rounded = matrix.astype(ml_dtypes.bfloat16)
    tensors = {"image": ("F32", matrix), "half": ("F16", matrix.astype(np.float16))}
    tensors |= {"brain": ("BF16", rounded), "labels": ("I64", np.arange(5))}
    write_safetensors(path, tensors)
    np.testing.assert_array_equal(read(f"{path}:image"), matrix)
    np.testing.assert_array_equal(read(f"{path}:half"), matrix.astype(np.float16))
    np.testing.assert_array_equal(read(f"{path}:brain"), rounded.astype(np.float32))
    assert read_error(path) == (
        "DIR/F.safetensors has 3 matrices, expected one: image (float32 5 x 6), half (float16 5 x "
        "6), brain (bfloat16 5 x 6); choose one as DIR/F.safetensors:image"
    )


@pytest.mark.parametrize("end", [-1, 60])
def test_rejects_a_truncated_safetensors_file(tmp_path: Path, matrix: np.ndarray, end: int):
    path = tmp_path / "F.safetensors"
    write_safetensors(path, {"image": ("F32", matrix)})
    path.write_bytes(path.read_bytes()[:end])
    assert read_error(path).startswith("DIR/F.safetensors is ")


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "F.pt"


@pytest.mark.parametrize("is_new", [True, False])
def test_reads_a_tensor(torch, path: Path, matrix: np.ndarray, is_new: bool):
    torch.save(torch.tensor(matrix), path, _use_new_zipfile_serialization=is_new)
    np.testing.assert_array_equal(read(path), matrix)


def test_reads_tensors_with_gradients_and_bfloat16(torch, path: Path, matrix: np.ndarray):
    torch.save(torch.nn.Parameter(torch.tensor(matrix)), path)
    np.testing.assert_array_equal(read(path), matrix)
    torch.save(torch.tensor(matrix).bfloat16(), path)
    np.testing.assert_array_equal(read(path), matrix.astype(ml_dtypes.bfloat16).astype("f4"))


def test_reads_tensors_of_a_gpu(torch, path: Path, matrix: np.ndarray):
    """As in a file that a process with a GPU has written; there, only the location differs."""
    torch.save(torch.tensor(matrix), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"))
    assert b"cuda:0" in path.read_bytes()
    np.testing.assert_array_equal(read(path), matrix)


def test_finds_the_only_matrix_in_a_dict(torch, path: Path, matrix: np.ndarray):
    content = {"features": torch.tensor(matrix), "labels": torch.arange(5), "paths": ["a"] * 5}
    torch.save(content, path)
    np.testing.assert_array_equal(read(path), matrix)


def test_names_nested_tensors_with_dots(torch, path: Path, matrix: np.ndarray):
    torch.save({name: {"x": torch.tensor(matrix)} for name in ("train", "val")}, path)
    np.testing.assert_array_equal(read(f"{path}:val.x"), matrix)
    assert "train.x (float32 5 x 6), val.x (float32 5 x 6)" in read_error(path)


def test_joins_lists_of_tensors(torch, path: Path, matrix: np.ndarray):
    tensor = torch.tensor(matrix)
    for content in ([tensor[:2], tensor[2:4], tensor[4:]], [*tensor], {"x": [*tensor]}):
        torch.save(content, path)
        np.testing.assert_array_equal(read(path), matrix)


def test_reads_arrays_of_numpy(torch, path: Path, matrix: np.ndarray):
    torch.save({"x": matrix, "labels": np.arange(5), "names": np.array(["a"] * 5)}, path)
    np.testing.assert_array_equal(read(path), matrix)


def test_stacks_vectors_by_name(torch, path: Path, matrix: np.ndarray):
    names = ["b.jpg", "a.jpg", "c.jpg", "d.jpg", "e.jpg"]
    torch.save(dict(zip(names, torch.tensor(matrix), strict=True)), path)
    np.testing.assert_array_equal(read(path), matrix)
    assert read_columns(path) == {"filename": tuple(names)}


def test_runs_no_code_of_a_model(torch, path: Path):
    torch.save(torch.nn.Linear(2, 3), path)
    assert read_error(path) == (
        "DIR/F.pt is a file of torch.save that is damaged or holds more than tensors "
        "(torch.nn.modules.linear.Linear); it is not read, because it may run code: save the "
        "matrix alone, with torch.save(features, ...), or with numpy.save as a .npy file"
    )


def test_lists_the_first_tensors_of_a_state_dict(torch, path: Path):
    torch.save(torch.nn.Sequential(*[torch.nn.Linear(2, 3) for _ in range(12)]).state_dict(), path)
    message = read_error(path)
    assert message.startswith("DIR/F.pt has 12 matrices, expected one: 0.weight (float32 3 x 2), ")
    assert message.endswith(" and 2 more; choose one as DIR/F.pt:0.weight")


def test_names_the_extra_if_torch_is_missing(torch, path: Path, monkeypatch):
    torch.save(torch.zeros(2, 3), path)
    monkeypatch.setitem(sys.modules, "torch", None)
    message = read_error(path)
    assert message.startswith("DIR/F.pt is a torch file: ")
    assert "pip install 'clip-cfr[extract]'" in message
