"""Describe a file that Pillow does not read as an image, from its first bytes."""

import re

from PIL import features

PREVIEW_BYTES = 16
TEXT_BYTES = 512
# Brands of an ISO media file, at its bytes 8 to 12 and from 16 on.
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
AVIF_BRANDS = {b"avif", b"avis"}
NO_AVIF = "an AVIF image, for which this Pillow is not built; install that of PyPI"
TIFF = (
    "a TIFF image that is damaged, or of a kind that Pillow does not read, such as 12-bit colours; "
    "convert it to PNG"
)
# Offset, bytes and kind of files that a folder of images may hold. A longer match comes first.
SIGNATURES = (
    (0, b"%PDF-", "a PDF document; convert its pages to PNG"),
    (0, b"%!PS", "a PostScript file; convert it to PNG"),
    (0, b"8BPS", "a Photoshop file; export it as PNG"),
    (0, b"\xff\x0a", "a JPEG XL image, which Pillow does not read; convert it to PNG"),
    (4, b"JXL \r\n", "a JPEG XL image, which Pillow does not read; convert it to PNG"),
    (4, b"ftypcrx ", "a raw file of a camera; develop it to JPEG or PNG"),
    (0, b"FUJIFILMCCD-RAW", "a raw file of a camera; develop it to JPEG or PNG"),
    (0, b"IIRO", "a raw file of a camera; develop it to JPEG or PNG"),
    (0, b"IIU\0", "a raw file of a camera; develop it to JPEG or PNG"),
    (4, b"ftyp", "a video; extract its frames"),
    (0, b"II*\0", TIFF),
    (0, b"MM\0*", TIFF),
    (0, b"\xff\xd8\xff", "a damaged JPEG image"),
    (0, b"\x89PNG", "a damaged PNG image"),
    (0, b"GIF8", "a damaged GIF image"),
    (0, b"\x1aE\xdf\xa3", "a video; extract its frames"),
    (8, b"AVI LIST", "a video; extract its frames"),
    (0, b"PK\x03\x04", "a zip archive; unpack it"),
    (0, b"\x1f\x8b", "a gzip archive; unpack it"),
    (0, b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (0, b"Rar!", "a rar archive; unpack it"),
    (257, b"ustar", "a tar archive; unpack it"),
    (0, b"\x89HDF\r\n", "an HDF5 file; write its arrays as PNG"),
    (0, b"\x93NUMPY", "a NumPy array; write it as PNG"),
    (0, b"SIMPLE  =", "a FITS file; write its arrays as PNG"),
    (344, b"n+1\0", "a NIfTI volume; write its slices as PNG"),
)
TEXTS = (
    (rb"version https://git-lfs", "a Git LFS pointer; run `git lfs pull` in its repository"),
    (rb"<svg|<\?xml[^>]*>\s*(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg", "an SVG drawing; "
     "convert it to PNG"),
    (rb"(<!--.*?-->\s*|<\?xml[^>]*>\s*)*<(!doctype html|html|head|body|script|title|meta)",
     "an HTML page instead of an image, such as a failed download or a login page; download the "
     "image again"),
    (rb"<\?xml|<error|<", "XML instead of an image, such as the error message of a server; "
     "download the image again"),
    (rb"[{\[]", "JSON instead of an image, such as the error message of a server; download the "
     "image again"),
    (rb"", "text instead of an image; download the image again"),
)  # fmt: skip


def describe_content(raw: bytes) -> str:
    """Describe the contents of a file that is not an image, with a remedy where there is one.

    The text continues `the file is `: `a PDF document; convert its pages to PNG`. For text and
    unknown contents it ends with the first 16 bytes.
    """
    preview = raw[:PREVIEW_BYTES]
    if not raw.strip(b"\0"):
        return "only zero bytes, as an interrupted copy leaves them; copy it again"
    if read_brands(raw) & AVIF_BRANDS:
        return "a damaged AVIF image" if features.check("avif") else NO_AVIF
    if read_brands(raw) & HEIC_BRANDS:
        return "a damaged HEIC image"
    for offset, signature, kind in SIGNATURES:
        if raw.startswith(signature, offset):
            return kind
    text = as_text(raw)
    for pattern, kind in TEXTS if text else ():
        if re.match(pattern, text, re.IGNORECASE | re.DOTALL):
            return f"{kind} (it begins with {preview!r})"
    return f"of no known image format (it begins with {preview!r})"


def as_text(raw: bytes) -> bytes:
    """Return the start of a text file in UTF-8, without leading white space.

    The first 512 bytes are read as UTF-16 with a byte order mark, UTF-8 or Windows-1252. Empty if
    the file is not text.
    """
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        # A character may be cut at the end.
        text = raw[:TEXT_BYTES].decode(encoding, "strict" if len(raw) <= TEXT_BYTES else "ignore")
    except UnicodeDecodeError:
        text = raw[:TEXT_BYTES].decode("cp1252", "replace")
    printable = all(char.isprintable() or char.isspace() for char in text)
    return text.lstrip().encode() if printable else b""


def is_heic(raw: bytes) -> bool:
    """Return whether a file is a HEIC or HEIF image, as of a phone, and not an AVIF image."""
    found = read_brands(raw)
    return bool(found & HEIC_BRANDS) and not found & AVIF_BRANDS


def is_dicom(raw: bytes) -> bool:
    """Return whether a file is DICOM, with its signature or without, as some devices write it."""
    # Without one it begins with an element of group 2 or 8, in little endian, of a low number.
    return raw.startswith(b"DICM", 128) or (raw[:2] in (b"\2\0", b"\x08\0") and raw[3:4] == b"\0")


def read_brands(raw: bytes) -> set[bytes]:
    """Return the brands of an ISO media file, such as `b"heic"`; empty for any other file."""
    if not raw.startswith(b"ftyp", 4):
        return set()
    end = min(int.from_bytes(raw[:4], "big"), 256)
    return {raw[8:12], *(raw[start : start + 4] for start in range(16, end, 4))}
