"""Image sources that colour grey digits when they are read."""

import colorsys
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

NUM_HUES = 5
HUES = np.array(
    [np.multiply(colorsys.hsv_to_rgb(hue / NUM_HUES, 1, 1), 255) for hue in range(NUM_HUES)]
).astype(np.uint8)
# Grey value from which a pixel belongs to the stroke.
INK = 120


@dataclass(frozen=True)
class ChannelDigits:
    """Images whose digit is in one colour channel; the other channels are black.

    Attributes:
        digits: grey values of the digits.
        channels: colour channel of each image: 0 red, 1 green, 2 blue.
    """

    digits: UInt8[np.ndarray, "n height width"]
    channels: Int[np.ndarray, " n"]

    def read(self, row: int) -> UInt8[np.ndarray, "height width 3"]:
        """Return the RGB pixels of a row, in a new array."""
        pixels = np.zeros((*self.digits.shape[1:], 3), np.uint8)
        pixels[..., self.channels[row]] = self.digits[row]
        return pixels


@dataclass(frozen=True)
class HueDigits:
    """Images whose stroke has a saturated hue; the other pixels stay grey.

    Pixels from the grey value INK on are the stroke.

    Attributes:
        digits: grey values of the digits.
        hues: index into HUES of each image.
    """

    digits: UInt8[np.ndarray, "n height width"]
    hues: Int[np.ndarray, " n"]

    def read(self, row: int) -> UInt8[np.ndarray, "height width 3"]:
        """Return the RGB pixels of a row, in a new array."""
        pixels = np.repeat(self.digits[row][..., None], 3, axis=-1)
        pixels[self.digits[row] >= INK] = HUES[self.hues[row]]
        return pixels
