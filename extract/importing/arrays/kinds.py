"""The kind of a file, recognized by its first bytes, whatever its name is."""

import zipfile
from pathlib import Path
from typing import NoReturn

from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.errors import REMEDY, read_errors

HEAD_BYTES = 4096
MAX_NAMED = 3
# Kinds that are read, by the bytes that a file begins with.
READABLE = {
    b"\x93NUMPY": "npy",
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    # A pickle of the number 0x1950a86a20f9469cfc6c: how torch.save began before version 1.6.
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": "torch",
}
# Other kinds, with their descriptions.
UNREADABLE = {
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"GIF8": "a GIF image",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"%PDF": "a PDF document",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"SQLite format 3": "an SQLite database",
    b"MATLAB 5.0": "a MATLAB file",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    b"\xff\xff\xff\xff": "an Arrow stream, which to_parquet of the package datasets converts",
    b"version https://git-lfs": "a Git LFS pointer, for which git lfs pull fetches the file",
}
PICKLE_PROTOCOLS = b"\x02\x03\x04\x05"
TEXT_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# Control characters that do not occur in text.
BINARY = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b")


def detect_kind(path: Path) -> str:
    """Return the kind of a file by its first bytes, whatever its name is.

    Returns:
        `npy`, `npz`, `hdf5`, `parquet`, `arrow`, `safetensors`, `torch`, `pickle`, `gzip` or
        `text`.

    Raises:
        ExtractError: the file cannot be read, is empty, or is of another kind; the message says
            which.
    """
    with read_errors(path):
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    if head.startswith(b"PK"):
        return detect_archive(path)
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    return detect_head(path, head, size)


def detect_head(path: Path, head: bytes, size: int) -> str:
    """Return the kind of the contents that begin with `head`, for example of a compressed file.

    The kinds are those of `detect_kind`, without `npz` and `gzip`.

    Args:
        path: the file, for messages.
        head: the first bytes.
        size: length of the contents in bytes, which bounds the header of a safetensors file.

    Raises:
        ExtractError: the contents are empty or of another kind.
    """
    if not head:
        raise ExtractError(f"{path} is empty, expected a matrix; save it again")
    for start, kind in READABLE.items():
        if head.startswith(start):
            return kind
        if start.startswith(head):
            reject_kind(path, f"a truncated {kind} file of {count_noun(size, 'byte')}")
    for start, description in UNREADABLE.items():
        if head.startswith(start):
            reject_kind(path, description)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    if head[:1] == b"\x80" and head[1:2] in PICKLE_PROTOCOLS:
        return "pickle"
    if head[257:262] == b"ustar":
        reject_kind(path, "a tar archive")
    if not head.startswith(TEXT_MARKS) and BINARY.intersection(head):
        reject_kind(path, f"a file of an unknown kind, which begins with {head[:8]!r}")
    return detect_text(path, head)


def detect_text(path: Path, head: bytes) -> str:
    """Return `text`, or raise ExtractError for contents that begin as HTML, XML or JSON do."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        reject_kind(path, "an HTML page, as a failed download leaves it")
    if start.startswith(b"<"):
        reject_kind(path, "an XML file")
    if start.startswith((b"{", b"[")):
        reject_kind(path, "a JSON file")
    return "text"


def detect_archive(path: Path) -> str:
    """Return `torch` or `npz`, by the names in a ZIP file.

    Raises:
        ExtractError: the file is damaged or another ZIP file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    # NotImplementedError: a damaged or unknown version of the format.
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ExtractError(
            f"{path} is a truncated or damaged ZIP file, which .npz and .pt files are ({error}); "
            "save or copy it again"
        ) from error
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "torch"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    if "[Content_Types].xml" in names:
        reject_kind(path, "an Excel or Word file")
    reject_kind(path, f"a ZIP archive of {', '.join(names[:MAX_NAMED]) or 'nothing'}")


def reject_kind(path: Path, description: str) -> NoReturn:
    """Raise ExtractError: the file is `description`, not a matrix, and should be saved as .npy."""
    raise ExtractError(f"{path} is {description}, expected a matrix of numbers; {REMEDY}")
