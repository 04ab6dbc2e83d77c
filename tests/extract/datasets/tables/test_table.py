from pathlib import Path

import pytest

from clip_cfr.extract.datasets.tables.table import Table, read_csv
from clip_cfr.extract.errors import ExtractError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.csv"


def read_bytes(path: Path, content: bytes) -> Table:
    path.write_bytes(content)
    return read_csv(path)


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,x y\n2,z\n",
        b"a,b\r\n1,x y\r\n2,z\r\n",
        b"\xef\xbb\xbfa,b\n1,x y\n2,z",
        b'"a", b \n1,"x y"\n2, z \n',
    ],
    ids=["plain", "crlf", "byte order mark", "quotes and spaces"],
)
def test_reads_every_usual_form_of_csv(path: Path, content: bytes):
    assert read_bytes(path, content).columns == {"a": ("1", "2"), "b": ("x y", "z")}


def test_row_numbers_are_those_of_an_editor(path: Path):
    table = read_bytes(path, b'a\n1\n\n"two\nlines"\n3\n')
    assert table.columns["a"] == ("1", "two\nlines", "3")
    assert table.row_numbers == (2, 5, 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", " is empty, expected a header and rows"),
        (b"\n\n", " is empty, expected a header and rows"),
        (b"a,b\n", " has a header but no rows, expected a row for each image"),
        (b"a,b,a\n1,2,3\n", " has two columns 'a', expected unique names"),
        (b"a,b\n1,2\n1\n", ", row 3: found 1 fields, expected 2 as in the header"),
        (b"a,b\n1,2,3\n", ", row 2: found 3 fields, expected 2 as in the header"),
        (b"a\n\xff\n", " is not UTF-8 text (invalid start byte at byte 2); save it as UTF-8"),
        (b"a\n\0\n", " contains NUL bytes, expected UTF-8 text"),
        (b'a\n"open\n', ", row 2: not valid CSV (unexpected end of data)"),
    ],
)
def test_rejects_invalid_files(path: Path, content: bytes, message: str):
    with pytest.raises(ExtractError) as error:
        read_bytes(path, content)
    assert str(error.value) == f"{path}{message}"


def test_rejects_a_missing_file(path: Path):
    with pytest.raises(ExtractError) as error:
        read_csv(path)
    assert str(error.value) == (
        f"{path} cannot be read (No such file or directory); check the path"
    )


def test_names_the_existing_columns_if_one_is_missing(path: Path):
    with pytest.raises(ExtractError) as error:
        read_bytes(path, b"a,b\n1,2\n").column("y", "label")
    assert str(error.value) == (
        f"{path} has no column y or label, found the columns a, b; rename or add the column"
    )


def test_encodes_the_first_column_that_exists(path: Path):
    table = read_bytes(path, b"b,c\nx,y\ny,x\n")
    assert table.encode_column({"x": 0, "y": 1}, "a", "b", "c").tolist() == [0, 1]


def test_names_row_and_value_without_a_code(path: Path):
    table = read_bytes(path, b"split\n0\n\n3\n")
    with pytest.raises(ExtractError) as error:
        table.encode_column({"0": 0, "1": 1}, "split")
    assert str(error.value) == f"{path}, row 4: split is '3', expected one of 0, 1"


def test_names_both_rows_of_a_duplicate(path: Path):
    table = read_bytes(path, b"path\na\nb\na\n")
    with pytest.raises(ExtractError) as error:
        table.require_unique("image", table.column("path"))
    assert str(error.value) == (
        f"{path}, row 4: the image 'a' is already listed in row 2; remove one of the two rows"
    )
