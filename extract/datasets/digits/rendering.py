"""Rendering of a handwritten digit as a coloured picture with random jitter."""

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

SIDE = 32
COLOURS = {
    "red": (225, 30, 30),
    "green": (30, 205, 30),
    "blue": (45, 70, 235),
    "yellow": (225, 215, 30),
    "purple": (175, 40, 205),
}


def render_digit(
    rng: np.random.RandomState, ink: Float64[np.ndarray, "8 8"], colour: str
) -> UInt8[np.ndarray, "32 32 3"]:
    """Render a digit in approximately the given colour on a black to dark grey background.

    Args:
        rng: draws the geometric jitter, the shade of the colour and the background; its state
            advances.
        ink: intensity of the strokes in [0, 1].
        colour: a key of COLOURS.

    Returns:
        RGB pixels.
    """
    coverage = jitter_ink(rng, ink)[..., None]
    paint = np.multiply(COLOURS[colour], rng.uniform(0.8, 1.1)) + rng.normal(0, 12, size=3)
    background = rng.uniform(0, 50)
    pixels = background + coverage * (paint - background)
    return pixels.clip(0, 255).round().astype(np.uint8)


def jitter_ink(
    rng: np.random.RandomState, ink: Float64[np.ndarray, "8 8"]
) -> Float64[np.ndarray, "32 32"]:
    """Enlarge the ink about threefold, rotate it and shift it at random.

    Values stay in [0, 1], in steps of 1 / 255.

    Args:
        rng: draws the enlargement (2.7 to 3.5), the angle (up to 12 degrees) and the shift of the
            centre (up to 2.5 pixels in each direction); its state advances.
        ink: intensity of the strokes in [0, 1].
    """
    angle = np.deg2rad(rng.uniform(-12, 12))
    enlargement = rng.uniform(2.7, 3.5)
    centre = SIDE / 2 + rng.uniform(-2.5, 2.5, size=2)
    # Without a margin, strokes at the border of the ink would end abruptly.
    padded = np.pad(ink, 2)
    # Pillow's AFFINE maps output coordinates to input coordinates.
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / enlargement
    offset = len(padded) / 2 - turn @ centre
    picture = Image.fromarray((padded * 255).round().astype(np.uint8)).transform(
        (SIDE, SIDE),
        Image.Transform.AFFINE,
        tuple(np.column_stack([turn, offset]).ravel()),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(picture) / 255
