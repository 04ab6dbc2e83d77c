"""Vectors and numbers in Parquet and Feather files."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from tests.extract.importing.arrays.reading import read, read_columns, read_error

IDS = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "F.parquet"


def write_parquet(table: pa.Table, path: Path):
    parquet.write_table(table, path, row_group_size=2)


def write_feather(table: pa.Table, path: Path):
    feather.write_feather(table, str(path), chunksize=2)


@pytest.mark.parametrize("write", [write_parquet, write_feather])
@pytest.mark.parametrize("number", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("as_list", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 6)])
def test_reads_a_column_of_lists(path: Path, matrix: np.ndarray, write, number, as_list):
    matrix = matrix.astype(np.float16)
    vectors = pa.array([*matrix], as_list(pa.float16())).cast(as_list(number))
    write(pa.table({"image_path": IDS, "emb": vectors, "label": [0, 1, 0, 1, 0]}), path)
    found = read(path)
    assert found.dtype == (np.float16 if number == pa.float16() else np.float32)
    np.testing.assert_array_equal(found, matrix)
    assert read_columns(path) == {"image_path": tuple(IDS), "label": ("0", "1", "0", "1", "0")}


def test_reads_many_columns_of_numbers(path: Path, matrix: np.ndarray):
    frame = pd.DataFrame(matrix.astype(np.float64), columns=[f"f{i}" for i in range(6)])
    frame["filename"], frame["label"] = IDS, "cat"
    frame[sorted(frame.columns, reverse=True)].to_parquet(path)
    np.testing.assert_array_equal(read(path), matrix)
    assert read_columns(path) == {"filename": tuple(IDS), "label": ("cat",) * 5}


def test_chooses_a_column_by_name(path: Path, matrix: np.ndarray):
    write_parquet(pa.table({"a": [*matrix], "b": [*(2 * matrix)]}), path)
    assert read_error(path) == (
        "DIR/F.parquet has 2 matrices, expected one: a (float32 5 x 6), b (float32 5 x 6); choose "
        "one as DIR/F.parquet:a"
    )
    np.testing.assert_array_equal(read(f"{path}:b"), 2 * matrix)


def test_null_vectors_and_numbers_are_nan(path: Path, matrix: np.ndarray):
    vectors = [None, *matrix[1:].tolist()]
    vectors[2][3] = None
    write_parquet(pa.table({"emb": pa.array(vectors, pa.list_(pa.float32()))}), path)
    expected = matrix.copy()
    expected[0], expected[2, 3] = np.nan, np.nan
    np.testing.assert_array_equal(read(path), expected)


def test_names_a_vector_of_another_length(path: Path):
    vectors = pa.array([[1.0, 2], [3, 4], [5]], pa.list_(pa.float32()))
    write_parquet(pa.table({"emb": vectors}), path)
    assert read_error(path) == (
        "DIR/F.parquet: emb has 1 number in row 2, counted from 0, expected 2 as in the first row"
    )


def test_rejects_a_truncated_file(path: Path, matrix: np.ndarray):
    write_parquet(pa.table({"emb": [*matrix]}), path)
    path.write_bytes(path.read_bytes()[:500])
    message = read_error(path)
    assert message.startswith("DIR/F.parquet is a truncated or damaged Parquet or Feather file (")


def test_names_the_extra_if_pyarrow_is_missing(path: Path, matrix: np.ndarray, monkeypatch):
    write_parquet(pa.table({"emb": [*matrix]}), path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = read_error(path)
    assert message.startswith("DIR/F.parquet is a parquet file: ")
    assert "pip install 'clip-cfr[parquet]'" in message
