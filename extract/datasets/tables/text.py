"""Text files: decompression, character encoding, and messages for files of other kinds."""

import bz2
import codecs
import gzip
import io
import lzma
import shlex
import zipfile
import zlib
from pathlib import Path

from clip_cfr.extract.errors import ExtractError

ZIP_MAGIC = b"PK\x03\x04"
LIST_FORMS = "CSV, TSV, JSON Lines, Parquet or .xlsx"
# First bytes of files that are not lists, with a description and a remedy.
FOREIGN = (
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)", "save it as .xlsx or as CSV UTF-8"),
    (b"\x89HDF", "an HDF5 file", "export the list as CSV"),
    (b"\x93NUMPY", "a NumPy array", "export the list as CSV"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"\x80\x02", "a pickle", "save the list with to_csv"),
    (b"\x80\x03", "a pickle", "save the list with to_csv"),
    (b"\x80\x04", "a pickle", "save the list with to_csv"),
    (b"\x80\x05", "a pickle", "save the list with to_csv"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "decompress it with: unzstd"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"\xff\xd8\xff", "a JPEG image", "name the list, and the images in --root"),
    (b"\x89PNG", "a PNG image", "name the list, and the images in --root"),
    (b"%PDF", "a PDF document", "export the list as CSV"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file with: git lfs pull"),
    (b"<!doctype", "an HTML page", "download the list itself"),
    (b"<html", "an HTML page", "download the list itself"),
)  # fmt: skip
EXCERPT = 24


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 or UTF-16 file without its byte order mark.

    A gzip, bz2 or xz file, or a zip archive of one file, is decompressed.

    Raises:
        ExtractError: the file cannot be read or decompressed, is of another kind (see FOREIGN), or
            is not such text.
    """
    content = decompress(path, read_bytes(path))
    refuse_foreign(path, content)
    return decode(path, content)


def read_bytes(path: Path, length: int = -1) -> bytes:
    """Return the first `length` bytes of a file, by default all; fewer if it is shorter.

    Raises:
        ExtractError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(length)
    except OSError as error:
        raise ExtractError(f"{path} cannot be read ({error.strerror}); check the path") from error


def decompress(path: Path, content: bytes) -> bytes:
    """Return the content of a gzip, bz2 or xz file, or of the only file in a zip archive.

    Any other content is returned unchanged.

    Args:
        path: the file, for messages.
        content: all bytes of the file.

    Raises:
        ExtractError: the content is damaged or truncated, or the zip archive does not hold exactly
            one file, is encrypted, or has a compression method that Python does not know.
    """
    decompressors = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress}
    decompressors |= {b"\xfd7zXZ": lzma.decompress, ZIP_MAGIC: unzip_only_file}
    try:
        for magic, function in decompressors.items():
            if content.startswith(magic):
                return function(content)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise ExtractError(
            f"{path} cannot be decompressed ({error}); check whether it is complete, or unpack it"
        ) from error
    # Encrypted, or of an unknown compression method (NotImplementedError).
    except RuntimeError as error:
        raise ExtractError(
            f"{path} is a zip archive that cannot be read here ({error}); unpack it with another "
            "program, and give the file in it"
        ) from error
    return content


def unzip_only_file(content: bytes) -> bytes:
    """Return the bytes of the only file in a zip archive, not counting folders and `__MACOSX/`.

    Raises:
        ValueError: the archive does not hold exactly one file.
        BadZipFile: the archive is damaged.
        RuntimeError: the file is encrypted, or its compression method is unknown.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [
            name
            for name in archive.namelist()
            if not name.endswith("/") and not name.startswith("__MACOSX/")
        ]
        if len(names) != 1:
            raise ValueError(f"the zip archive holds {len(names)} files, expected one")
        return archive.read(names[0])


def refuse_foreign(path: Path, content: bytes) -> None:
    """Raise ExtractError if the content begins like a file that is not a list (see FOREIGN).

    The message names the kind and a remedy.

    Args:
        path: the file, for messages.
        content: its bytes, decompressed.
    """
    start = content[:64].lstrip().lower()
    for magic, kind, remedy in FOREIGN:
        if content.startswith(magic) or start.startswith(magic):
            raise ExtractError(f"{path} is {kind}, expected {LIST_FORMS}; {remedy}")


def decode(path: Path, content: bytes) -> str:
    """Return the text of UTF-8 or UTF-16 bytes, without a byte order mark.

    Args:
        path: the file, for messages.
        content: its bytes, decompressed.

    Raises:
        ExtractError: the bytes are not such text, or contain NUL characters.
    """
    encoding = find_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ExtractError(describe_decode_error(path, content, error)) from error
    if "\0" in text:
        raise ExtractError(f"{path} contains NUL bytes, expected UTF-8 text as CSV files hold it")
    return text.removeprefix("\ufeff")


def find_encoding(content: bytes) -> str:
    """Return the name of the encoding of bytes, as `bytes.decode` expects it.

    Returns:
        `utf-16` with its byte order mark; `utf-16-le` or `utf-16-be` if every other one of the
        first bytes is often zero; otherwise `utf-8`.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = content[: 200 - len(content[:200]) % 2]
    if sample and sample[1::2].count(0) > len(sample) // 4 and not sample[::2].count(0):
        return "utf-16-le"
    if sample and sample[::2].count(0) > len(sample) // 4 and not sample[1::2].count(0):
        return "utf-16-be"
    return "utf-8"


def describe_decode_error(path: Path, content: bytes, error: UnicodeDecodeError) -> str:
    """Return the message for bytes that are not UTF-8: row, text around them, and remedy.

    It begins such as `a.csv, row 2: 'Müller,1' is not UTF-8 text (byte 0xfc)`.

    Args:
        path: the file.
        content: its bytes.
        error: says which byte is wrong.
    """
    before = content[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    row = before.count(b"\n") + 1
    line_start = before.rfind(b"\n") + 1
    start = before[line_start:][-EXCERPT:]
    end = content[error.start :].splitlines()[0][:EXCERPT]
    word = (start + end).decode("cp1252", errors="replace")
    return (
        f"{path}, row {row}: {word!r} is not UTF-8 text (byte {content[error.start]:#04x}); save "
        f"the file as UTF-8 (in Excel: CSV UTF-8), or convert it: {iconv_command(path)}"
    )


def iconv_command(path: Path) -> str:
    """Return the shell command that converts a file from Windows-1252, in the folder of the file.

    Its result is the file `new-NAME`.
    """
    name, new = shlex.quote(path.name), shlex.quote(f"new-{path.name}")
    return f"iconv -f WINDOWS-1252 -t UTF-8 {name} > {new}"
