"""Matrices in text: separators, headers, other columns, vectors in one column."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.extract.importing.arrays.reading import read, read_columns, read_error, read_notes

IDS = ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "F.csv"


@pytest.fixture
def frame(matrix: np.ndarray) -> pd.DataFrame:
    """Features with ids before and labels after them."""
    frame = pd.DataFrame(matrix, columns=[f"f{index}" for index in range(6)])
    frame.insert(0, "filename", IDS)
    frame["label"] = [0, 1, 0, 1, 0]
    return frame


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_reads_what_numpy_writes(path: Path, matrix: np.ndarray, separator: str):
    np.savetxt(path, matrix, delimiter=separator)
    np.testing.assert_array_equal(read(path), matrix)
    np.savetxt(path, matrix, delimiter=separator, header="six features")
    np.testing.assert_array_equal(read(path), matrix)
    assert read_columns(path) is None


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("separator", [",", "\t"])
def test_reads_what_pandas_writes(path: Path, matrix: np.ndarray, index: bool, separator: str):
    pd.DataFrame(matrix).to_csv(path, index=index, sep=separator)
    np.testing.assert_array_equal(read(path), matrix)
    assert read_columns(path) == ({"column 1": ("0", "1", "2", "3", "4")} if index else None)


def test_other_columns_are_not_features(path: Path, matrix: np.ndarray, frame: pd.DataFrame):
    frame.to_csv(path, index=False)
    np.testing.assert_array_equal(read(path), matrix)
    assert read_columns(path) == {"filename": IDS, "label": ("0", "1", "0", "1", "0")}


def test_columns_have_the_order_of_their_numbers(path: Path):
    numbers = np.arange(24, dtype=np.float32).reshape(2, 12)
    frame = pd.DataFrame(numbers, columns=[f"x_{index}" for index in range(12)])
    frame[sorted(frame.columns)].to_csv(path, index=False)
    np.testing.assert_array_equal(read(path), numbers)


def test_columns_with_names_of_their_own(path: Path, matrix: np.ndarray):
    frame = pd.DataFrame(matrix[:, :3], columns=["mean", "width", "height"])
    frame["a"], frame["ID"], frame["label"] = 1, range(10, 15), 0
    frame.to_csv(path)
    np.testing.assert_array_equal(read(path), matrix[:, :3])
    assert read_notes(path) == [
        f"{path}: 3 columns of numbers are the features, from mean to height; not a, ID"
    ]


def test_numbers_beside_numbered_columns_are_noted(path: Path, matrix: np.ndarray):
    frame = pd.DataFrame(matrix, columns=[f"f{index}" for index in range(6)])
    frame["label"], frame["age"] = 0, 1
    frame.to_csv(path, index=False)
    np.testing.assert_array_equal(read(path), matrix)
    assert read_notes(path) == [
        f"{path}: 6 columns of numbers are the features, from f0 to f5; not age"
    ]


def test_a_decimal_comma(path: Path, matrix: np.ndarray, frame: pd.DataFrame):
    frame.to_csv(path, index=False, sep=";", decimal=",")
    np.testing.assert_array_equal(read(path), matrix)


def test_no_header_and_ids_in_the_first_column(path: Path, matrix: np.ndarray, frame: pd.DataFrame):
    frame.drop(columns="label").to_csv(path, index=False, header=False)
    np.testing.assert_array_equal(read(path), matrix)
    assert read_columns(path) == {"filename": IDS}


@pytest.mark.parametrize("as_list", [list, np.array])
def test_vectors_in_one_column(path: Path, matrix: np.ndarray, as_list):
    vectors = [as_list([float(number) for number in row]) for row in matrix.round(3)]
    pd.DataFrame({"path": IDS, "embedding": vectors}).to_csv(path, index=False)
    np.testing.assert_array_equal(read(path), matrix.round(3))
    assert read_columns(path) == {"path": IDS}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(path: Path, matrix: np.ndarray, frame: pd.DataFrame, encoding: str):
    frame.to_csv(path, index=False, encoding=encoding)
    np.testing.assert_array_equal(read(path), matrix)
    assert read_columns(path)["filename"] == IDS


def test_names_the_row_of_text_that_is_not_utf_8(path: Path, frame: pd.DataFrame):
    frame["filename"] = ["a.jpg", "b.jpg", "blå.jpg", "d.jpg", "e.jpg"]
    frame.to_csv(path, index=False, encoding="cp1252")
    assert read_error(path) == (
        "DIR/F.csv, row 4: the text is not UTF-8; save the file as UTF-8, or convert it: iconv -f "
        "WINDOWS-1252 -t UTF-8 F.csv > new-F.csv"
    )


def test_compressed_text(path: Path, matrix: np.ndarray, frame: pd.DataFrame):
    with gzip.open(path, "wt") as file:
        frame.to_csv(file, index=False)
    np.testing.assert_array_equal(read(path), matrix)


def test_blank_lines_and_the_separator_line_of_excel(path: Path):
    path.write_text("sep=;\n\nu;v\n1;2\n\n3;4\n;\n")
    np.testing.assert_array_equal(read(path), [[1, 2], [3, 4]])


def test_missing_numbers_are_nan(path: Path):
    path.write_text("u,v\n1,2\n,4\nNA,nan\n")
    np.testing.assert_array_equal(read(path), [[1, 2], [np.nan, 4], [np.nan, np.nan]])


def test_numbers_beyond_float32_are_infinite(path: Path):
    path.write_text("1,1e300\n")
    np.testing.assert_array_equal(read(path), [[1, np.inf]])


def test_names_row_and_column_of_a_value_that_is_not_a_number(path: Path):
    path.write_text("u,v\n1,2\n3,four\n")
    assert read_error(path) == "DIR/F.csv, row 3, v: found 'four', expected a number"


def test_names_a_row_of_another_length(path: Path):
    path.write_text("1,2\n3,4\n5\n")
    assert read_error(path) == "DIR/F.csv, row 3: found 1 field, expected 2 as before"


def test_says_that_a_vector_was_shortened(path: Path):
    path.write_text("path,embedding\na.jpg,[0.1 0.2 ... 0.5]\nb.jpg,[0.1 0.2 ... 0.5]\n")
    assert read_error(path) == (
        "DIR/F.csv, row 2: the vector was shortened when it was printed ('[0.1 0.2 ... 0.5]'); "
        "save the array with numpy.save instead"
    )


def test_text_without_numbers(path: Path):
    path.write_text("filename,label\na.jpg,cat\n")
    assert read_error(path) == (
        "DIR/F.csv is text without a column of numbers for features (a row of it is 'filename, "
        "label'), expected a matrix, one row for each image"
    )
