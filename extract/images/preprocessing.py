"""How an image becomes the square of pixels that an image tower takes."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

# An image is cropped before the resize if its resized form is longer than this multiple of the
# crop: that of 30,000 x 3 pixels would take gigabytes.
STRIP_LENGTH = 32
# Largest support of Pillow's filters (Lanczos), in pixels of the smaller of input and output.
MAX_SUPPORT = 3


@dataclass(frozen=True)
class Preprocessing:
    """Resize and centre crop of an image, and the normalization of its pixels.

    `apply` returns 8-bit pixels. The encoder normalizes them on its device, as
    (pixels / 255 - mean) / std: 8-bit pixels take a quarter of the bandwidth of floats.

    Attributes:
        side: width and height of the result.
        shorter_side: length of the image's shorter side after the resize and before the centre
            crop; None resizes width and height to `side`, whatever the aspect ratio.
        resample: number of a Pillow resampling filter.
        mean, std: of the red, green and blue values that the tower was trained with, in [0, 1].
        even_offset: if the centre lies between two pixels, start the crop at the even offset, as
            torchvision does; otherwise at the lower one, as transformers does.
    """

    side: int
    shorter_side: int | None
    resample: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    even_offset: bool = False

    def apply(self, image: Image.Image) -> UInt8[np.ndarray, "side side 3"]:
        """Resize and crop an RGB image and return its pixels.

        They are black where the resized image does not fill the square.
        """
        if self.shorter_side is None:
            return np.array(image.resize((self.side, self.side), self.resample))
        image = self.resize(image, scaled_size(*image.size, self.shorter_side))
        left, top = (self.crop_offset(length) for length in image.size)
        # Pillow fills a crop beyond the border with black, as transformers does.
        return np.array(image.crop((left, top, left + self.side, top + self.side)))

    def resize(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Return an image resized to `size`; a very long one is also cropped along its longer side.

        A side of more than `STRIP_LENGTH` times the crop is cut to its centre of `side` pixels,
        which gives the pixels that the whole image would have there.

        Args:
            image: the image.
            size: width and height of the whole image after the resize.
        """
        axis = 0 if size[0] > size[1] else 1
        if size[axis] <= STRIP_LENGTH * self.side:
            return image.resize(size, self.resample)
        pixel = image.size[axis] / size[axis]  # length of a pixel of the result
        start = self.crop_offset(size[axis]) * pixel
        end = start + self.side * pixel
        margin = MAX_SUPPORT * max(1, pixel) + 1
        first = max(0, math.floor(start - margin))
        last = min(image.size[axis], math.ceil(end + margin))
        outer, inner, cropped = [0, 0, *image.size], [0, 0, *image.size], list(size)
        outer[axis::2], inner[axis::2] = (first, last), (start - first, end - first)
        cropped[axis] = self.side
        return image.crop(tuple(outer)).resize(tuple(cropped), self.resample, tuple(inner))

    def crop_offset(self, length: int) -> int:
        """Return the first pixel of the centre crop along a side of `length` pixels.

        It is negative if the side is shorter than the crop.
        """
        excess = length - self.side
        return round(excess / 2) if self.even_offset else excess // 2


def scaled_size(width: int, height: int, shorter_side: int) -> tuple[int, int]:
    """Return width and height with the shorter one scaled to `shorter_side`.

    The longer one is rounded down, as in transformers: (640, 480) gives (298, 224) for 224.
    """
    longer_side = int(shorter_side * max(width, height) / min(width, height))
    return (shorter_side, longer_side) if width <= height else (longer_side, shorter_side)
