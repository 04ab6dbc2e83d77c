"""How an image becomes the pixels that an image tower looks at."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image


@dataclass(frozen=True)
class View:
    """The square of an image that an image tower takes, as whole numbers of 8 bits.

    `mean` and `std` belong to the tower's input, (pixels / 255 - mean) / std. The encoder applies
    them on its device: a number of 8 bits is a quarter of what a float would be to carry there.

    Attributes:
        side: width and height of the pixels.
        shorter_side: what the shorter side of the image is scaled to before the centre is cut out;
            None scales width and height to `side`, whatever the image's shape.
        resample: one of Pillow's filters, as a number.
        mean, std: of the red, green and blue values of the tower's training.
        even_centre: where the centre lies between two pixels, the cut starts at the even one, as
            torchvision has it; otherwise at the lower one, as transformers has it.
    """

    side: int
    shorter_side: int | None
    resample: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    even_centre: bool = False

    def pixels(self, image: Image.Image) -> UInt8[np.ndarray, "side side 3"]:
        """The pixels of an RGB image; black where the image does not fill the square."""
        if self.shorter_side is None:
            return np.array(image.resize((self.side, self.side), self.resample))
        image = image.resize(scaled(*image.size, self.shorter_side), self.resample)
        # Black beyond the border, as transformers has it.
        left, top = (self.start(length) for length in image.size)
        return np.array(image.crop((left, top, left + self.side, top + self.side)))

    def start(self, length: int) -> int:
        """Where the cut begins in a side of that length."""
        beyond = length - self.side
        return round(beyond / 2) if self.even_centre else beyond // 2


def scaled(width: int, height: int, shorter: int) -> tuple[int, int]:
    """Width and height where the shorter of them is `shorter`; rounded as transformers does."""
    longer = int(shorter * max(width, height) / min(width, height))
    return (shorter, longer) if width <= height else (longer, shorter)
