"""Files of 16 bits per channel, which Pillow does not write, byte by byte."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

PNG_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
SHORT, LONG = 3, 4


def encode(image: Image.Image, form: str, **options) -> bytes:
    """Return an image as an encoded file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def encode_png(values: np.ndarray) -> bytes:
    """Return a PNG file of 16-bit values with 1 to 4 channels."""
    height, width, channels = np.atleast_3d(values).shape
    header = struct.pack(">IIBBBBB", width, height, 16, PNG_COLOUR_TYPES[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def encode_tiff(
    values: np.ndarray,
    order: str = "<",
    *,
    is_deflated: bool = False,
    is_planar: bool = False,
    white_is_zero: bool = False,
    alpha: int | None = None,
) -> bytes:
    """Return a TIFF file of 16-bit values.

    Args:
        values: array of shape (height, width) or (height, width, channels).
        order: `<` for little endian, `>` for big endian.
        is_deflated: whether the strips are compressed.
        is_planar: whether each channel is in a strip of its own.
        white_is_zero: whether 0 is white.
        alpha: kind of the last channel, 1 for premultiplied and 2 for plain alpha.
    """
    height, width, channels = np.atleast_3d(values).shape
    planes = np.moveaxis(values, -1, 0) if is_planar else [values]
    strips = [np.ascontiguousarray(plane).astype(f"{order}u2").tobytes() for plane in planes]
    strips = [zlib.compress(strip) for strip in strips] if is_deflated else strips
    photometric = 0 if white_is_zero else 2 if channels > 2 else 1
    fields = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [16] * channels),
        259: (SHORT, [8 if is_deflated else 1]),
        262: (SHORT, [photometric]),
        273: (LONG, [0] * len(strips)),
        277: (SHORT, [channels]),
        278: (LONG, [height]),
        279: (LONG, [len(strip) for strip in strips]),
        284: (SHORT, [2 if is_planar else 1]),
        **({} if alpha is None else {338: (SHORT, [alpha])}),
    }
    # The first pass finds where the strips begin.
    start = len(encode_fields(fields, order))
    fields[273] = (LONG, [start + sum(map(len, strips[:i])) for i in range(len(strips))])
    return encode_fields(fields, order) + b"".join(strips)


def encode_fields(fields: dict[int, tuple[int, list[int]]], order: str) -> bytes:
    """Return the header and the only directory of a TIFF file."""
    entries, long_values = b"", b""
    start = 8 + 2 + 12 * len(fields) + 4
    for tag, (kind, values) in sorted(fields.items()):
        content = struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
        if len(content) > 4:
            position = struct.pack(f"{order}I", start + len(long_values))
            long_values += content
            content = position
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + content.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}H", len(fields)) + entries + bytes(4)
    return magic + struct.pack(f"{order}I", 8) + directory + long_values
