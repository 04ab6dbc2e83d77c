from pathlib import Path

import pytest

from clip_cfr.extract.datasets.common.csv_table import Table, read_csv
from clip_cfr.extract.datasets.common.image_paths import relative_paths
from clip_cfr.extract.errors import ExtractError


def table(tmp_path: Path, content: bytes) -> Table:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    return read_csv(path)


def refusal(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(ExtractError) as caught:
        table(tmp_path, content)
    return str(caught.value).replace(str(tmp_path), "DIR")


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
def test_reads_csv_as_it_exists(tmp_path: Path, content: bytes):
    assert table(tmp_path, content).columns == {"a": ("1", "2"), "b": ("x y", "z")}


def test_rows_are_counted_as_an_editor_does(tmp_path: Path):
    found = table(tmp_path, b'a\n1\n\n"two\nlines"\n3\n')
    assert found.columns["a"] == ("1", "two\nlines", "3")
    assert found.rows == (2, 5, 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "DIR/list.csv is empty, expected a header and rows"),
        (b"\n\n", "DIR/list.csv is empty, expected a header and rows"),
        (b"a,b\n", "DIR/list.csv has a header and no rows"),
        (b"a,b,a\n1,2,3\n", "DIR/list.csv has the column 'a' twice, expected each once"),
        (b"a,b\n1,2\n1\n", "DIR/list.csv, row 3: 1 fields, expected 2 as in the header"),
        (b"a,b\n1,2,3\n", "DIR/list.csv, row 2: 3 fields, expected 2 as in the header"),
        (b"a\n\xff\n", "DIR/list.csv is no UTF-8 text (invalid start byte at 2)"),
        (b"a\n\0\n", "DIR/list.csv is no text: it holds NUL bytes"),
        (b'a\n"open\n', "DIR/list.csv, row 2: no CSV (unexpected end of data)"),
    ],
)
def test_refuses_what_is_no_table(tmp_path: Path, content: bytes, message: str):
    assert refusal(tmp_path, content) == message


def test_refuses_a_missing_file(tmp_path: Path):
    with pytest.raises(ExtractError, match=r"list.csv: cannot be read \(No such file or directory"):
        read_csv(tmp_path / "list.csv")


def test_names_the_columns_that_there_are(tmp_path: Path):
    with pytest.raises(ExtractError) as caught:
        table(tmp_path, b"a,b\n1,2\n").column("y", "label")
    assert (
        str(caught.value) == f"{tmp_path}/list.csv has no column y or label; its columns are a, b"
    )


def test_names_row_and_value_of_an_unknown_code(tmp_path: Path):
    with pytest.raises(ExtractError) as caught:
        table(tmp_path, b"split\n0\n\n3\n").coded({"0": 0, "1": 1}, "split")
    assert str(caught.value) == f"{tmp_path}/list.csv, row 4: split is '3', expected one of 0, 1"


@pytest.mark.parametrize(
    ("value", "found"),
    [("a.jpg", "a.jpg"), ("./a//b.jpg", "a/b.jpg"), ("a/../b.jpg", "b.jpg"), ("..a/b", "..a/b")],
)
def test_shortens_paths(tmp_path: Path, value: str, found: str):
    assert relative_paths(table(tmp_path, b"path\nx\n"), [value]) == (found,)


@pytest.mark.parametrize(
    "value", ["/etc/passwd", "../a", "a/../../b", "..", ".", "..\\a", "C:\\a", "\\\\host\\share\\a"]
)
def test_refuses_paths_that_lead_out(tmp_path: Path, value: str):
    with pytest.raises(ExtractError) as caught:
        relative_paths(table(tmp_path, b"path\nx\n"), [value])
    assert str(caught.value) == (
        f"{tmp_path}/list.csv, row 2: the path {value!r} leads out of the root, "
        "expected one that is relative to it"
    )


def test_refuses_an_empty_path(tmp_path: Path):
    with pytest.raises(ExtractError) as caught:
        relative_paths(table(tmp_path, b"path\nx\n"), [""])
    assert (
        str(caught.value) == f"{tmp_path}/list.csv, row 2: the path is empty, expected an image's"
    )


def test_refuses_an_image_that_stands_twice(tmp_path: Path):
    listed = table(tmp_path, b"path\na\nb\na\n")
    with pytest.raises(ExtractError) as caught:
        relative_paths(listed, ["a", "b", "./a"])
    assert str(caught.value) == (
        f"{tmp_path}/list.csv, row 4: the image 'a' is already in row 2, expected each once"
    )
