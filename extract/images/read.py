"""Read rows of a manifest as pixel arrays: read the file, decode it, preprocess it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import REMEDY, decode_image
from clip_cfr.extract.images.preprocessing import Preprocessing
from clip_cfr.extract.manifest.image_source import ImageSource


def read_image(images: ImageSource, row: int, name: str) -> Image.Image:
    """Read and decode the image of a row; thread-safe.

    Args:
        name: the image's name in error messages.

    Raises:
        ExtractError: the file cannot be read or decoded.
    """
    try:
        raw = images.read(row)
    except OSError as error:
        raise ExtractError(
            f"{name}: the file cannot be read ({error.strerror}); {REMEDY}"
        ) from error
    return decode_image(raw, name)


def read_pixels(
    images: ImageSource, preprocessing: Preprocessing, rows: Sequence[tuple[int, str]]
) -> tuple[UInt8[np.ndarray, "n side side 3"], dict[int, str]]:
    """Read the pixels of rows.

    Args:
        rows: index and name of each row; error messages begin with the name.

    Returns:
        The pixels, black where an image cannot be read, and the error message of each such row.
    """
    side = preprocessing.side
    pixels = np.zeros((len(rows), side, side, 3), np.uint8)
    errors = {}
    for index, (row, name) in enumerate(rows):
        try:
            pixels[index] = preprocessing.apply(read_image(images, row, name))
        except ExtractError as error:
            errors[row] = str(error)
    return pixels, errors
