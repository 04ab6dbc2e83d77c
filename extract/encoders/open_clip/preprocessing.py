"""The view of an open_clip model's preprocessing."""

import json
from typing import Any

from PIL import Image

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.preprocessing import View

# `random` concerns training; for inference open_clip takes bicubic then.
FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "random": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}


def view_of(configuration: dict[str, Any]) -> View:
    """The view that gives the pixels of open_clip's transform for inference.

    An image is RGB before it is resized. open_clip resizes first, which comes to the same but for
    palettes, whose images Pillow can resize by the nearest pixel only.

    Raises:
        ExtractError: the transform does something that no view does; the message names it.
    """
    size, mode = configuration["size"], configuration["resize_mode"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise refusal("size", size)
    if mode not in ("shortest", "squash"):
        raise refusal("resize_mode", mode)
    if configuration["interpolation"] not in FILTERS:
        raise refusal("interpolation", configuration["interpolation"])
    return View(
        side=height,
        shorter_side=height if mode == "shortest" else None,
        resample=int(FILTERS[configuration["interpolation"]]),
        mean=colours(configuration["mean"]),
        std=colours(configuration["std"]),
        even_centre=True,
    )


def colours(values: float | list[float]) -> tuple[float, float, float]:
    """A number for each of red, green and blue; one number stands for all three."""
    red, green, blue = [values] * 3 if isinstance(values, int | float) else values
    return float(red), float(green), float(blue)


def refusal(name: str, value: Any) -> ExtractError:
    """The error over a setting of the transform."""
    return ExtractError(
        f"its preprocessing has {name} {json.dumps(value)}, which is not reproduced here; expected "
        "a square size, resize_mode shortest or squash, and bicubic or bilinear interpolation"
    )
