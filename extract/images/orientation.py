"""The orientation of an image in its EXIF data."""

import struct

from PIL import ExifTags, Image

# The transposition that turns an image of each EXIF orientation upright.
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


EXIF_START = b"Exif\0\0"
# The header of a TIFF file, which EXIF data is, and one of its entries.
HEADER_BYTES, ENTRY_BYTES = 8, 12


def read_transpose(image: Image.Image) -> Image.Transpose | None:
    """Return the transposition that turns a loaded image upright, or None if it is upright.

    Raises:
        ValueError: the EXIF data cannot be read.
    """
    try:
        # Pillow's readers of some formats pass over damage when they open a file.
        check_entries(image.info.get("exif"))
        return TRANSPOSE.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    # Pillow lets through whatever its parser raises: SyntaxError, struct.error, TypeError and more.
    except Exception as error:
        raise ValueError("the EXIF data cannot be read") from error


def check_entries(content: bytes | None) -> None:
    """Raise an exception of any kind if EXIF data does not have the entries that it announces.

    None and empty data are valid.
    """
    content = (content or b"").removeprefix(EXIF_START)
    if not content:
        return
    order = {b"II*\0": "<", b"MM\0*": ">"}[content[:4]]
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, start)
    if start < HEADER_BYTES or start + 2 + ENTRY_BYTES * count > len(content):
        raise ValueError("the entries are incomplete")
