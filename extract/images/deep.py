"""Images of 16 bits per channel, whose values may use fewer: find their range, and scale them."""

import io

import numpy as np
from jaxtyping import Integer
from PIL import Image

from clip_cfr.extract.images.formats import FORMATS
from clip_cfr.extract.images.notes import Note, NoteKind
from clip_cfr.extract.images.settings import FULL_BIT_DEPTH

# Pillow keeps the high byte of 16-bit colours; read with the other byte order, it keeps the low
# byte. Read as 8-bit colours, grey and alpha give all four bytes.
GREY_AND_ALPHA = "LA;16B"
LOW_BYTE_MODES = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": "RGB;16B",
    "RGBA;16B": "RGBA;16L",
    "RGBA;16L": "RGBA;16B",
    "RGBA;16N": "RGBA;16B",
    GREY_AND_ALPHA: "RGBA",
}
# A TIFF file of 12 bits per pixel.
TWELVE_BITS = "I;12"
PHOTOMETRIC_TAG, WHITE_IS_ZERO = 262, 0


def storage_mode(image: Image.Image) -> str:
    """Return how the pixels are stored, as a raw mode of Pillow, before the image is loaded."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else None
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def scale_colours(
    raw: bytes, image: Image.Image, stored: str, bit_depth: int
) -> tuple[Image.Image, list[Note]]:
    """Scale an image of 16-bit colours to 8 bits.

    Args:
        raw: the encoded file.
        image: the loaded image, of the high bytes.
        stored: its storage mode, a key of `LOW_BYTE_MODES`.
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
    """Return the low byte of each red, green and blue value of a file of 16-bit colours."""
    with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
        image.tile = [replace_mode(tile, LOW_BYTE_MODES[stored]) for tile in image.tile]
        pixels = np.asarray(image)
    return pixels[..., [1, 1, 1]] if stored == GREY_AND_ALPHA else pixels[..., :3]


def replace_mode(tile: tuple, mode: str) -> tuple:
    """Return a tile of Pillow with another raw mode."""
    arguments = (mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode
    return tile._replace(args=arguments)


def scale_grey(image: Image.Image, stored: str, bit_depth: int) -> tuple[Image.Image, list[Note]]:
    """Scale a grey image of more than 8 bits to 8 bits; Pillow's own conversion clips at 255.

    Args:
        image: the loaded image, of a mode that begins with I.
        stored: its storage mode.
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
    if stored == TWELVE_BITS:
        return scale_values(values, 12)[0], []
    if is_white_zero(image):
        white = 2**bit_depth - 1
        values = white - np.minimum(values, white)
    return scale_values(values, bit_depth)


def is_white_zero(image: Image.Image) -> bool:
    """Return whether zero is white; Pillow inverts such TIFF files itself up to 8 bits."""
    return getattr(image, "tag_v2", {}).get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO


def scale_values(
    values: Integer[np.ndarray, "..."], bit_depth: int
) -> tuple[Image.Image, list[Note]]:
    """Return values scaled to 8 bits, with 2**bit_depth - 1 as white, and notes on their range."""
    white, largest = 2**bit_depth - 1, int(values.max())
    scaled = np.round(np.minimum(values, white) / (white / 255)).astype(np.uint8)
    clipped = [Note(NoteKind.CLIPPED, largest)] if largest > white else []
    return Image.fromarray(scaled), [Note(NoteKind.DEEP, largest), *clipped]
