"""Images of 16 bits per channel, whose values may use fewer: measure their range and scale them."""

import io

import numpy as np
from jaxtyping import Integer
from PIL import Image, ImageChops

from clip_cfr.extract.images.formats import FORMATS
from clip_cfr.extract.images.notes import Note, NoteKind
from clip_cfr.extract.images.settings import FULL_BIT_DEPTH
from clip_cfr.extract.images.storage import (
    DECLARED_RANGE,
    GREY_AND_ALPHA,
    HIGH_BYTES,
    name_planes,
    swap_bytes,
)

# A TIFF file of 12 bits per pixel.
TWELVE_BITS = "I;12"
PHOTOMETRIC_TAG, WHITE_IS_ZERO = 262, 0


def scale_colours(
    raw: bytes, image: Image.Image, stored: str, bit_depth: int
) -> tuple[Image.Image, list[Note]]:
    """Scale an image of 16-bit colours to 8 bits.

    With bit depth 16 the high bytes are the result, and the note has the upper bound of the largest
    value that they allow. With a smaller one the low bytes are read from the file.

    Args:
        raw: the encoded file; not used with bit depth 16.
        image: the loaded image, of the high bytes.
        stored: its storage, see `find_storage`; a key of `LOW_BYTE_MODES` for fewer bits than 16.
        bit_depth: number of bits that the values use.

    Returns:
        The image in mode RGB, and notes on its range.
    """
    high = image.convert("RGB")
    if bit_depth == FULL_BIT_DEPTH:
        largest = max(band[1] for band in high.getextrema()) * 256 + 255
        return high, [Note(NoteKind.DEEP, largest)]
    values = np.asarray(high).astype(np.uint16) * 256 + read_low_bytes(raw, stored)
    return scale_values(values, bit_depth)


def read_low_bytes(raw: bytes, stored: str) -> Integer[np.ndarray, "height width 3"]:
    """Return the low byte of each red, green and blue value of a file of 16-bit colours, uint8.

    Grey with alpha gives its grey three times. `stored` is a key of `LOW_BYTE_MODES`.
    """
    with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
        name_planes(image)
        swap_bytes(image)
        pixels = np.asarray(image)
    return pixels[..., [1, 1, 1]] if stored == GREY_AND_ALPHA else pixels[..., :3]


def scale_high_bytes(image: Image.Image, bit_depth: int) -> tuple[Image.Image, list[Note]]:
    """Return an image of the high bytes of 16-bit colours in mode RGB, and a note on its range.

    Raises:
        ValueError: `bit_depth` is below 16, so that the low bytes are needed.
    """
    if bit_depth != FULL_BIT_DEPTH:
        raise ValueError(
            f"--bit-depth {bit_depth} needs the low bytes of its 16-bit colours, which Pillow does "
            "not read from a file of this kind; convert it to a 16-bit PNG file"
        )
    return scale_colours(b"", image, HIGH_BYTES, bit_depth)


def scale_grey(image: Image.Image, stored: str, bit_depth: int) -> tuple[Image.Image, list[Note]]:
    """Scale a grey image of more than 8 bits to 8 bits; Pillow's own conversion clips at 255.

    Images of 12 bits, or of a declared range, are scaled by their own range, without notes. If zero
    is white, a 16-bit image is inverted.

    Args:
        image: the loaded image, of a mode that begins with I.
        stored: its storage, see `find_storage`.
        bit_depth: number of bits that the values of 16-bit images use.

    Returns:
        The image in mode L, and notes on its range.

    Raises:
        ValueError: a value is below 0 or above 65535.
    """
    values = np.asarray(image)
    smallest, largest = int(values.min()), int(values.max())
    if smallest < 0 or largest > 65535:
        raise ValueError(
            f"grey values from {smallest} to {largest}, expected 8 or 16 bits without sign"
        )
    if stored in (TWELVE_BITS, DECLARED_RANGE):
        return scale_values(values, 12 if stored == TWELVE_BITS else FULL_BIT_DEPTH)[0], []
    scaled, notes = scale_values(values, bit_depth)
    return ImageChops.invert(scaled) if is_white_zero(image) else scaled, notes


def is_white_zero(image: Image.Image) -> bool:
    """Return whether zero is white by a TIFF file's tags.

    Pillow inverts such images itself up to 8 bits only.
    """
    return getattr(image, "tag_v2", {}).get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO


def scale_values(
    values: Integer[np.ndarray, "..."], bit_depth: int
) -> tuple[Image.Image, list[Note]]:
    """Return values scaled to an 8-bit image, with 2**bit_depth - 1 as white, and notes.

    Values are rounded. One note has the largest value; a second one follows if it is above white,
    which such values become.
    """
    white, largest = 2**bit_depth - 1, int(values.max())
    scaled = np.round(np.minimum(values, white) / (white / 255)).astype(np.uint8)
    clipped = [Note(NoteKind.CLIPPED, largest)] if largest > white else []
    return Image.fromarray(scaled), [Note(NoteKind.DEEP, largest), *clipped]
