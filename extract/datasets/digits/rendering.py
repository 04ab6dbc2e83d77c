"""Coloured pictures of scikit-learn's handwritten digits, and which of them trained the tiny CLIP.

The digits are 8 by 8 pixels of ink: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten
Digits, UCI Machine Learning Repository, 1998, CC BY 4.0.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from PIL import Image
from sklearn.datasets import load_digits

SIDE = 32
COLOURS = {
    "red": (225, 30, 30),
    "green": (30, 205, 30),
    "blue": (45, 70, 235),
    "yellow": (225, 215, 30),
    "purple": (175, 40, 205),
}
NUM_HELD_OUT = 97
DIVISION_SEED = 1


@dataclass(frozen=True)
class Division:
    """Which of the 1,797 digits the tiny CLIP was trained on, and which it never saw.

    The saved weights depend on it, so it is the same for every seed of training and of rendering.

    Attributes:
        tiny_clip: indices of the digits for training.
        held_out: in row d, indices of digits d for everything else, in a shuffled order.
    """

    tiny_clip: Int64[np.ndarray, " m"]
    held_out: Int64[np.ndarray, "10 per_digit"]


@cache
def handwritten() -> tuple[Float64[np.ndarray, "n 8 8"], Int64[np.ndarray, " n"]]:
    """The ink of every digit, in [0, 1], and its number from 0 to 9."""
    digits = load_digits()
    return digits.images / 16, digits.target


@cache
def division() -> Division:
    """The fixed division of the digits."""
    _, numbers = handwritten()
    # RandomState's streams are frozen for good; those of the newer generators are not.
    rng = np.random.RandomState(DIVISION_SEED)
    shuffled = [rng.permutation(np.flatnonzero(numbers == digit)) for digit in range(10)]
    return Division(
        tiny_clip=np.concatenate([indices[NUM_HELD_OUT:] for indices in shuffled]),
        held_out=np.stack([indices[:NUM_HELD_OUT] for indices in shuffled]),
    )


def render(
    rng: np.random.RandomState, ink: Float64[np.ndarray, "8 8"], colour: str
) -> UInt8[np.ndarray, "32 32 3"]:
    """A picture of a digit in about the colour, jittered, on black to dark grey."""
    coverage = jittered(rng, ink)[..., None]
    paint = np.multiply(COLOURS[colour], rng.uniform(0.8, 1.1)) + rng.normal(0, 12, size=3)
    background = rng.uniform(0, 50)
    pixels = background + coverage * (paint - background)
    return pixels.clip(0, 255).round().astype(np.uint8)


def jittered(
    rng: np.random.RandomState, ink: Float64[np.ndarray, "8 8"]
) -> Float64[np.ndarray, "32 32"]:
    """The ink enlarged, turned by up to 12 degrees and shifted by up to 2.5 pixels."""
    angle = np.deg2rad(rng.uniform(-12, 12))
    enlargement = rng.uniform(2.7, 3.5)
    centre = SIDE / 2 + rng.uniform(-2.5, 2.5, size=2)
    # A margin lets the strokes at the border of the ink fade out as the others do.
    padded = np.pad(ink, 2)
    # From a pixel of the picture to its place in the ink, which is what Pillow asks for.
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / enlargement
    offset = len(padded) / 2 - turn @ centre
    picture = Image.fromarray((padded * 255).round().astype(np.uint8)).transform(
        (SIDE, SIDE),
        Image.Transform.AFFINE,
        tuple(np.column_stack([turn, offset]).ravel()),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(picture) / 255
