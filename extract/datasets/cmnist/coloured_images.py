"""Digits that are coloured when they are read, and the random choice of their colours."""

import colorsys
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt8

NUM_HUES = 5
HUES = np.array(
    [np.multiply(colorsys.hsv_to_rgb(hue / NUM_HUES, 1, 1), 255) for hue in range(NUM_HUES)]
).astype(np.uint8)
# Pixels from here on are part of the stroke.
INK = 120


@dataclass(frozen=True)
class ChannelDigits:
    """Images in which the digit stands in one colour channel, and the others are black."""

    digits: UInt8[np.ndarray, "n height width"]
    channels: Int[np.ndarray, " n"]

    def read(self, row: int) -> UInt8[np.ndarray, "height width 3"]:
        pixels = np.zeros((*self.digits.shape[1:], 3), np.uint8)
        pixels[..., self.channels[row]] = self.digits[row]
        return pixels


@dataclass(frozen=True)
class HueDigits:
    """Images in which the stroke has a full hue, and the other pixels keep their grey."""

    digits: UInt8[np.ndarray, "n height width"]
    hues: Int[np.ndarray, " n"]

    def read(self, row: int) -> UInt8[np.ndarray, "height width 3"]:
        pixels = np.repeat(self.digits[row][..., None], 3, axis=-1)
        pixels[self.digits[row] >= INK] = HUES[self.hues[row]]
        return pixels


def noisy(
    rng: np.random.Generator, bits: Bool[np.ndarray, " n"], probability: float
) -> Bool[np.ndarray, " n"]:
    """The bits, each flipped with a probability."""
    return bits ^ (rng.random(len(bits)) < probability)


def own_or_other_hues(
    rng: np.random.RandomState, labels: Int[np.ndarray, " n"], probability: float
) -> Int[np.ndarray, " n"]:
    """The hue whose number is the label with a probability, otherwise one of the others."""
    own = rng.random_sample(len(labels)) < probability
    others = (labels + rng.randint(1, NUM_HUES, size=len(labels))) % NUM_HUES
    return np.where(own, labels, others)
