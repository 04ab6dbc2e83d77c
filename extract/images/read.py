"""The pixels of some rows, in any process that can reach their images."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import read_image
from clip_cfr.extract.images.preprocessing import View
from clip_cfr.extract.manifest.image_source import ImageSource


def read_pixels(
    images: ImageSource, view: View, rows: Sequence[tuple[int, str]]
) -> tuple[UInt8[np.ndarray, "n side side 3"], dict[int, str]]:
    """The pixels of rows, black where an image cannot be read, and what is wrong with those.

    A row is its number and its name, which errors begin with.
    """
    pixels = np.zeros((len(rows), view.side, view.side, 3), np.uint8)
    errors = {}
    for place, (row, name) in enumerate(rows):
        try:
            pixels[place] = view.pixels(read_image(images, row, name))
        except ExtractError as error:
            errors[row] = str(error)
    return pixels, errors
