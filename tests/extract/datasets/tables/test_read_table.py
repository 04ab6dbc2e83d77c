"""Every form in which people have lists, read into the same table."""

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest

from clip_cfr.extract.datasets.tables.read_table import read_table
from clip_cfr.extract.datasets.tables.roles import ATTRIBUTE, FILENAME, LABEL, SPLIT, Role
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError

ROOT = Path(__file__).parents[4]
HEADER = ["filename", "label", "split"]
ROWS = [["a b.jpg", "cat", "train"], ["ü/b.jpg", "blåhval", "val"], ["c.jpg", "dog", "test"]]
COLUMNS = dict(zip(HEADER, map(tuple, zip(*ROWS, strict=True)), strict=True))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.csv"


def read_bytes(path: Path, content: bytes, **columns: str) -> Table:
    path.write_bytes(content)
    return read_table(path, columns)


def read_text(path: Path, *lines: str, **columns: str) -> Table:
    return read_bytes(path, "\n".join(lines).encode(), **columns)


def read_error(path: Path, content: bytes | str, **columns: str) -> str:
    """Return the message of the exception that reading raises, without the path in front."""
    content = content.encode() if isinstance(content, str) else content
    with pytest.raises(ExtractError) as error:
        read_bytes(path, content, **columns)
    return str(error.value).replace(str(path), "LIST")


def join(separator: str, end: str = "\n", before: str = "") -> str:
    return before + "".join(separator.join(row) + end for row in [HEADER, *ROWS])


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


# Separators


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", ", ", " ; "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_takes_the_separator_of_the_header(path: Path, separator: str, end: str):
    assert read_bytes(path, join(separator, end).encode()).columns == COLUMNS


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"'])
def test_takes_the_separator_that_excel_announces(path: Path, line: str):
    table = read_bytes(path, join(";", before=f"{line}\r\n").encode())
    assert table.columns == COLUMNS
    assert table.row_numbers == (3, 4, 5)


def test_quotes_protect_separators(path: Path):
    table = read_text(path, 'filename;"label;x"', 'a.jpg;"one; two, three"')
    assert table.columns == {"filename": ("a.jpg",), "label;x": ("one; two, three",)}


def test_commas_in_fields_are_not_separators(path: Path):
    table = read_text(path, "filename\tlabel", "a.jpg\tone, two, three", "b.jpg\tone, two")
    assert table.columns["label"] == ("one, two, three", "one, two")


def test_white_space_separates_where_nothing_else_does(path: Path):
    table = read_text(path, "filename  label", "a.jpg  1", "", "b.jpg 0")
    assert table.columns == {"filename": ("a.jpg", "b.jpg"), "label": ("1", "0")}
    assert table.row_numbers == (2, 4)


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", "\t"])
def test_reads_unicode_with_and_without_a_byte_order_mark(path: Path, encoding, separator):
    assert read_bytes(path, join(separator).encode(encoding)).columns == COLUMNS


def test_names_the_row_and_the_word_of_another_encoding(path: Path):
    assert read_error(path, join(",").encode("cp1252")) == (
        "LIST, row 3: 'ü/b.jpg,blåhval,val' is not UTF-8 text (byte 0xfc); save the file as UTF-8 "
        "(in Excel: CSV UTF-8), or convert it: "
        "iconv -f WINDOWS-1252 -t UTF-8 list.csv > new-list.csv"
    )


def test_the_command_that_converts_a_file_is_quoted(tmp_path: Path):
    path = tmp_path / "my list.csv"
    path.write_bytes("a,b\nü,1\n".encode("cp1252"))
    with pytest.raises(ExtractError) as error:
        read_table(path)
    assert str(error.value).endswith(
        ": iconv -f WINDOWS-1252 -t UTF-8 'my list.csv' > 'new-my list.csv'"
    )


# Rows and columns


def test_row_numbers_are_those_of_an_editor(path: Path):
    table = read_bytes(path, b'a,b\n1,x\n\n"two\nlines",y\n3,z\n')
    assert table.columns["a"] == ("1", "two\nlines", "3")
    assert table.row_numbers == (2, 5, 6)


def test_drops_empty_rows_and_columns_of_spreadsheets(path: Path):
    table = read_text(path, "filename,,label,,", "a.jpg,,cat,,", ",,,,", " , ,,", "b.jpg,,dog,,,,")
    assert table.columns == {"filename": ("a.jpg", "b.jpg"), "label": ("cat", "dog")}
    assert table.row_numbers == (2, 5)


def test_keeps_a_nameless_column_with_content(path: Path):
    table = read_text(path, "filename,,label", "a.jpg,x,cat", "b.jpg,,dog")
    assert table.columns["column 2"] == ("x", "")


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_nameless_column_that_is_not_an_index_holds_the_image_names(path: Path, name: str):
    table = read_text(path, f"{name},label", "a.jpg,cat", "b.jpg,dog")
    assert table.column(FILENAME) == ("a.jpg", "b.jpg")
    table = read_text(path, f"{name},image,label", "0,a.jpg,cat", "1,b.jpg,dog")
    assert table.column(FILENAME) == ("a.jpg", "b.jpg")
    assert read_text(path, f"{name},label", "0,cat", "1,dog").find_column(FILENAME) is None


UNFIT = "quote fields that contain the separator, or remove lines above the header"


def test_a_file_without_a_header_has_numbered_columns(path: Path):
    table = read_text(path, "x/a.jpg 0", "x/b.jpg 1")
    assert table.columns == {"column 1": ("x/a.jpg", "x/b.jpg"), "column 2": ("0", "1")}
    assert table.row_numbers == (1, 2)
    assert (table.column(FILENAME), table.column(LABEL)) == (("x/a.jpg", "x/b.jpg"), ("0", "1"))
    table = read_text(path, "x/a.jpg,0,train", "x/b.jpg,1,val")
    assert (table.column(FILENAME), table.column(LABEL)) == (("x/a.jpg", "x/b.jpg"), ("0", "1"))
    assert table.column(SPLIT) == ("train", "val")


def test_a_file_without_a_header_that_is_ambiguous_says_so(path: Path):
    table = read_text(path, "x/a.jpg,cat,snow,train", "x/b.jpg,dog,grass,val")
    with pytest.raises(ExtractError) as error:
        table.column(LABEL)
    assert str(error.value) == (
        f"{path} has no column label, found the columns column 1, column 2, column 3, column 4, "
        "because its first row is not a header; name the one to take with --columns label=COLUMN"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "LIST is empty, expected a header and rows"),
        ("\n\n", "LIST is empty, expected a header and rows"),
        ("a,b\n", "LIST has a header but no rows, expected a row for each image"),
        ("a,b\n,\n", "LIST has a header but no rows, expected a row for each image"),
        (
            "a,b,a\n1,2,3\n",
            "LIST has two columns 'a' with different values, expected unique names; rename or "
            "remove one of them",
        ),
        ("a,b\n1,2\n1\n", "LIST, row 3: found 1 field, expected 2 as in the header; " + UNFIT),
        ("a,b\n1,2,3\n", "LIST, row 2: found 3 fields, expected 2 as in the header; " + UNFIT),
        (b"a\n\0\n", "LIST contains NUL bytes, expected UTF-8 text as CSV files hold it"),
        ('a\n"open\n', "LIST, row 2: not valid CSV (unexpected end of data); check the quotes"),
    ],
)
def test_rejects_invalid_files(path: Path, content: bytes | str, message: str):
    assert read_error(path, content) == message


def test_a_column_may_be_there_twice(path: Path):
    assert read_text(path, "a,b,a", "1,2,1").columns == {"a": ("1",), "b": ("2",)}


def test_rejects_a_missing_file(path: Path):
    with pytest.raises(ExtractError) as error:
        read_table(path)
    assert str(error.value) == f"{path} cannot be read (No such file or directory); check the path"


# Forms, whatever the ending of the name


def test_reads_json_lines(path: Path):
    lines = [json.dumps(dict(zip(HEADER, row, strict=True))) for row in ROWS]
    table = read_text(path, lines[0], "", *lines[1:])
    assert table.columns == COLUMNS
    assert table.row_numbers == (1, 3, 4)


def test_reads_a_json_list(path: Path):
    entries = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    assert read_text(path, json.dumps(entries, indent=1)).columns == COLUMNS


def test_values_of_json_are_text(path: Path):
    entry = {"id": 7, "x": 1.0, "y": 0.5, "ok": True, "none": None, "box": [1, 2]}
    table = read_text(path, json.dumps(entry), json.dumps({"id": 8, "new": "z"}))
    assert table.columns == {
        "id": ("7", "8"),
        "x": ("1", ""),
        "y": ("0.5", ""),
        "ok": ("True", ""),
        "none": ("", ""),
        "box": ("[1, 2]", ""),
        "new": ("", "z"),
    }


@pytest.mark.parametrize(
    ("content", "start"),
    [
        ('{"a": 1}\n{"a": \n', "LIST, row 2: not valid JSON ("),
        ('{"a": 1}\n[2]\n', "LIST, row 2: found a JSON list, expected an object such as "),
        ("[1]", "LIST, row 1: found a JSON int, expected an object such as "),
        ("[", "LIST is not valid JSON ("),
        ("[]", "LIST holds no values, expected an object such as "),
    ],
)
def test_rejects_invalid_json(path: Path, content: str, start: str):
    message = read_error(path, content)
    assert message.startswith(start)
    assert '{"filename": "a.jpg", "label": "cat"} in each line' in message


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("text", [join(","), json.dumps(dict(zip(HEADER, ROWS[0], strict=True)))])
def test_reads_compressed_files(path: Path, compress, text: str):
    table = read_bytes(path, compress(text.encode()))
    assert table.columns["filename"][0] == "a b.jpg"


def test_reads_the_only_file_of_a_zip_archive(path: Path):
    archive = zipped(**{"list.csv": join(","), "__MACOSX/._list.csv": "x"})
    assert read_bytes(path, archive).columns == COLUMNS
    assert read_error(path, zipped(a="x", b="y")) == (
        "LIST cannot be decompressed (the zip archive holds 2 files, expected one); check whether "
        "it is complete, or unpack it"
    )


def change_zip(archive: bytes, local: int, central: int, value: int) -> bytes:
    """Set a byte of the first entry, at an offset in its local header and in the directory."""
    changed = bytearray(archive)
    changed[local] = changed[archive.index(b"PK\x01\x02") + central] = value
    return bytes(changed)


@pytest.mark.parametrize(
    ("offsets", "value", "reason"),
    [
        ((6, 8), 1, "File 'list.csv' is encrypted, password required for extraction"),
        ((8, 10), 99, "That compression method is not supported"),
        ((4, 6), 99, "zip file version 9.9"),
    ],
)
def test_says_how_to_unpack_a_zip_archive_that_cannot_be_read(path: Path, offsets, value, reason):
    archive = zipped(**{"list.csv": join(",")})
    assert read_error(path, change_zip(archive, *offsets, value)) == (
        f"LIST is a zip archive that cannot be read here ({reason}); unpack it with another "
        "program, and give the file in it"
    )


def test_names_a_zip_archive_with_a_damaged_directory(path: Path):
    archive = zipped(**{"xl/workbook.xml": "x"}).replace(b"PK\x01\x02", b"PK\x01\x00")
    assert read_error(path, archive) == (
        "LIST cannot be decompressed (Bad magic number for central directory); check whether it is "
        "complete, or unpack it"
    )


def test_names_an_encrypted_workbook(path: Path):
    archive = zipped(**{"[Content_Types].xml": "x", "xl/workbook.xml": "x"})
    message = read_error(path, change_zip(archive, 6, 8, 1))
    assert message == (
        "LIST is not a valid Excel workbook (File '[Content_Types].xml' is encrypted, password "
        "required for extraction); save it again, or download it again"
    )


def test_names_a_truncated_gzip_file(path: Path):
    message = read_error(path, gzip.compress(join(",").encode())[:20])
    assert message.startswith("LIST cannot be decompressed (")


def test_reads_workbooks(path: Path):
    book = openpyxl.Workbook()
    for row in (
        [],
        [*HEADER, "n", "ok"],
        [],
        [*ROWS[0], 1.0, True],
        [None] * 5,
        [*ROWS[1], 2, None],
    ):
        book.active.append(row)
    book.save(path)
    table = read_table(path)
    assert table.columns == {
        "filename": ("a b.jpg", "ü/b.jpg"),
        "label": ("cat", "blåhval"),
        "split": ("train", "val"),
        "n": ("1", "2"),
        "ok": ("True", ""),
    }
    assert table.row_numbers == (4, 6)


def test_reads_parquet_and_feather(path: Path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    columns = COLUMNS | {
        "n": [1, None, 3],
        "x": [0.0, 1.0, float("nan")],
        "ok": [True, False, None],
        "image": [{"bytes": b"x", "path": "a"}] * 3,
        "raw": [b"x"] * 3,
    }
    arrow = pa.table(columns)
    arrow = arrow.set_column(1, "label", arrow.column("label").dictionary_encode())
    expected = COLUMNS | {
        "n": ("1", "", "3"),
        "x": ("0", "1", "nan"),
        "ok": ("True", "False", ""),
    }
    for write in (parquet.write_table, feather.write_feather):
        write(arrow, path)
        table = read_table(path)
        assert table.columns == expected
        assert table.row_numbers == (1, 2, 3)


@pytest.mark.parametrize("name", ["binary", "large_binary", "binary_view"])
def test_columns_of_bytes_are_left_out(path: Path, name: str):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather

    # Compression does not know views.
    raw = pa.array([b"x"] * 3, getattr(pa, name)())
    feather.write_feather(pa.table(COLUMNS | {"raw": raw}), path, compression="uncompressed")
    assert read_table(path).columns == COLUMNS


def test_takes_the_names_of_hugging_faces_labels(path: Path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "n": {"dtype": "int64"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(pa.table({"label": [1, 0]}).replace_schema_metadata(metadata), path)
    assert read_table(path).value_names == {"label": ("cat", "dog")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1 damaged", "LIST is not a valid Parquet file ("),
        (b"\xd0\xcf\x11\xe0\xa1", "LIST is an old Excel workbook (.xls), expected CSV, TSV, "),
        (b"\x89HDF\r\n\x1a\n", "LIST is an HDF5 file, expected CSV, TSV, JSON Lines, "),
        (b"\x93NUMPY\x01", "LIST is a NumPy array, expected CSV, TSV, JSON Lines, "),
        (b"\x80\x04\x95", "LIST is a pickle, expected CSV, TSV, JSON Lines, Parquet or .xlsx; "),
        (b"\n<!DOCTYPE html>\n<html>", "LIST is an HTML page, expected CSV, TSV, JSON Lines, "),
        (b"version https://git-lfs.github.com/spec/v1\n", "LIST is a Git LFS pointer, expected"),
        (b"\xff\xd8\xff\xe0", "LIST is a JPEG image, expected CSV, TSV, JSON Lines, "),
    ],
)
def test_names_what_a_file_is_instead(path: Path, content: bytes, message: str):
    assert read_error(path, content).startswith(message)


@pytest.mark.parametrize(
    ("package", "content", "kind", "extra"),
    [
        ("pyarrow", b"PAR1", "a Parquet file", "parquet"),
        ("openpyxl", zipped(**{"xl/workbook.xml": "x"}), "an Excel workbook", "xlsx"),
    ],
)
def test_names_the_extra_that_brings_a_reader(path: Path, package, content, kind, extra):
    path.write_bytes(content)
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from pathlib import Path\n"
        "from clip_cfr.extract.datasets.tables.read_table import read_table\n"
        f"read_table(Path({str(path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr.splitlines()[-1] == (
        f"clip_cfr.extract.errors.ExtractError: {path} is {kind}: the package {package} is "
        f"missing; install it with: pip install 'clip-cfr[{extra}]'"
    )


# Roles of columns


@pytest.mark.parametrize(
    ("header", "role"),
    [
        *[(name, FILENAME) for name in ("filename", "file_name", "FILE NAME", "File-Name")],
        *[(name, FILENAME) for name in ("image", "path", "filepath", "image_path", "img_filename")],
        *[(name, FILENAME) for name in ("Image", "image_id", "img", "file", "id", "__key__")],
        *[(name, LABEL) for name in ("Label", "class", "target", "category", "y", "class_name")],
        *[(name, ATTRIBUTE) for name in ("attribute", "group", "place", "a", "Background")],
        *[(name, SPLIT) for name in ("split", "set", "partition", "data set", "fold", "SUBSET")],
    ],
)
def test_finds_columns_by_their_usual_names(path: Path, header: str, role: Role):
    assert read_text(path, f"other,{header}", "x,1").find_column(role) == header


def test_a_more_specific_name_precedes(path: Path):
    table = read_text(path, "id,image,img_filename,filename", "1,2,3,4")
    assert table.column(FILENAME) == ("4",)
    assert read_text(path, "id,image,path", "1,2,3").column(FILENAME) == ("3",)
    assert read_text(path, "img_id,img_filename,place_filename", "1,2,3").column(FILENAME) == ("2",)


def test_asks_if_two_columns_may_be_meant(path: Path):
    table = read_text(path, "path,file,label", "a,b,1")
    with pytest.raises(ExtractError) as error:
        table.column(FILENAME)
    assert str(error.value) == (
        f"{path} has 2 columns that may be the filename: path, file; choose one with --columns "
        "filename=path"
    )
    table = read_text(path, "image path,image-path,label", "a,b,1")
    with pytest.raises(ExtractError) as error:
        table.column(FILENAME)
    assert str(error.value).endswith("; choose one with --columns 'filename=image path'")
    assert read_text(path, "path,file,label", "a,b,1", filename="FILE").column(FILENAME) == ("b",)


def test_does_not_ask_if_columns_are_equal_or_names_of_labels(path: Path):
    assert read_text(path, "path,file", "a,a", "b,b").find_column(FILENAME) == "path"
    table = read_text(path, "y,class_name", "0,cat", "1,dog", "0,cat")
    assert table.find_column(LABEL) == "y"


def test_the_user_determines_columns(path: Path):
    table = read_text(path, "img,dx,split", "a.jpg,cat,1", filename="img", label="DX", split="")
    assert (table.column(FILENAME), table.column(LABEL)) == (("a.jpg",), ("cat",))
    assert table.find_column(SPLIT) is None


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"label": "dz"},
            "--columns label=dz: LIST has no such column, found the columns img, dx",
        ),
        (
            {"labels": "dx"},
            "--columns: 'labels' is not one of filename, label, attribute, split, subject",
        ),
    ],
)
def test_rejects_columns_that_do_not_exist(path: Path, columns: dict, message: str):
    assert read_error(path, "img,dx\na.jpg,cat\n", **columns) == message


def test_names_the_existing_columns_if_one_is_missing(path: Path):
    table = read_text(path, "a,b", "1,2")
    with pytest.raises(ExtractError) as error:
        table.column(LABEL)
    assert str(error.value) == (
        f"{path} has no column label, found the columns a, b; name the one to take with "
        "--columns label=COLUMN"
    )
    with pytest.raises(ExtractError) as error:
        table.column(Role("Sex"))
    assert str(error.value) == (
        f"{path} has no column Sex, found the columns a, b; rename or add the column"
    )


def test_names_row_and_value_without_a_code(path: Path):
    table = read_bytes(path, b"split\n0\n\n3\n")
    with pytest.raises(ExtractError) as error:
        table.encode_column({"0": 0, "1": 1}, SPLIT)
    assert str(error.value) == f"{path}, row 4: split is '3', expected one of 0, 1"


def test_names_both_rows_of_a_duplicate(path: Path):
    table = read_bytes(path, b"path\na\nb\na\n")
    with pytest.raises(ExtractError) as error:
        table.require_unique("image", table.column(FILENAME))
    assert str(error.value) == (
        f"{path}, row 4: the image 'a' is already listed in row 2; remove one of the two rows"
    )
