"""Settings of decoding: the largest image, and the range of 16-bit pixels."""

from dataclasses import dataclass

# Pillow's own limit for untrusted files; such an image takes 270 MB in memory.
DEFAULT_MAX_PIXELS = 89_478_485
FULL_BIT_DEPTH = 16


@dataclass(frozen=True)
class DecodeSettings:
    """Settings of decoding.

    Attributes:
        max_pixels: number of pixels above which an image is refused.
        bit_depth: number of bits that the pixels of 16-bit images use: 2**bit_depth - 1 is white.
    """

    max_pixels: int = DEFAULT_MAX_PIXELS
    bit_depth: int = FULL_BIT_DEPTH
