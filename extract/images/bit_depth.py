"""Measure how many bits the pixels of 16-bit images use."""

from collections.abc import Mapping, Sequence
from typing import Any

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.notes import NoteKind
from clip_cfr.extract.images.read import read_decoded
from clip_cfr.extract.images.settings import FULL_BIT_DEPTH, DecodeSettings
from clip_cfr.extract.manifest.image_source import ImageSource
from clip_cfr.extract.options import ExtractOptions

SAMPLE_SIZE = 64
# Bit depths of cameras, scanners and detectors.
COMMON_BIT_DEPTHS = (8, 10, 12, 14, FULL_BIT_DEPTH)


def choose_decode_settings(
    images: ImageSource,
    names: Sequence[str],
    options: ExtractOptions,
    unfinished: Mapping[str, Any],
) -> DecodeSettings:
    """Return the settings of decoding.

    An open bit depth (None or `auto`) is that of the unfinished job. Without one, None means 16,
    and `auto` is measured.

    Args:
        images: all images, also of the other shards, which must be decoded alike.
        names: name of each row.
        options: options of the extraction.
        unfinished: the unfinished job in the journal, empty if there is none.
    """
    bit_depth = options.bit_depth
    if bit_depth in (None, "auto") and unfinished:
        bit_depth = unfinished.get("bit_depth", FULL_BIT_DEPTH)
    if bit_depth == "auto":
        bit_depth = measure_bit_depth(images, names, options.max_pixels)
    return DecodeSettings(options.max_pixels, bit_depth or FULL_BIT_DEPTH)


def measure_bit_depth(images: ImageSource, names: Sequence[str], max_pixels: int) -> int:
    """Return the number of bits that 16-bit images use: 8, 10, 12, 14 or 16.

    It is judged by the largest value in a sample of at least `SAMPLE_SIZE` images (all, if there
    are fewer) spread over the rows. 16 if the sample has no 16-bit image.

    Args:
        images: reads the image of a row.
        names: name of each row.
        max_pixels: number of pixels above which an image is left out.
    """
    settings = DecodeSettings(max_pixels)
    rows = range(len(names))[:: max(1, len(names) // SAMPLE_SIZE)]
    largest = [largest_value(images, row, names[row], settings) for row in rows]
    return needed_bits(max(largest, default=0)) if any(largest) else FULL_BIT_DEPTH


def largest_value(images: ImageSource, row: int, name: str, settings: DecodeSettings) -> int:
    """Return the largest value of an image of 16 bits per channel.

    0 stands for any other image, and for one that cannot be read.
    """
    try:
        notes = read_decoded(images, row, name, settings).notes
    except ExtractError:
        return 0
    return max((note.value for note in notes if note.kind is NoteKind.DEEP), default=0)


def needed_bits(value: int) -> int:
    """Return the least of 8, 10, 12, 14 and 16 bits whose range holds a value up to 65535."""
    return next(bits for bits in COMMON_BIT_DEPTHS if value < 2**bits)
