"""Convert the configuration of an open_clip image transform to a `Preprocessing`."""

import json
from typing import Any

from PIL import Image

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.preprocessing import Preprocessing

# `random` chooses a filter in training; for inference open_clip then uses bicubic.
FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "random": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}


def parse_transform(configuration: dict[str, Any]) -> Preprocessing:
    """Return the preprocessing that reproduces open_clip's transform for inference.

    Images are converted to RGB before they are resized. open_clip resizes first, which differs only
    for palette images, since Pillow resizes those by nearest neighbour.

    Raises:
        ExtractError: the transform has an unsupported step; the message names it.
    """
    size, mode = configuration["size"], configuration["resize_mode"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise unsupported_error("size", size)
    if mode not in ("shortest", "squash"):
        raise unsupported_error("resize_mode", mode)
    if configuration["interpolation"] not in FILTERS:
        raise unsupported_error("interpolation", configuration["interpolation"])
    return Preprocessing(
        side=height,
        shorter_side=height if mode == "shortest" else None,
        resample=int(FILTERS[configuration["interpolation"]]),
        mean=parse_colours(configuration["mean"]),
        std=parse_colours(configuration["std"]),
        even_offset=True,
    )


def parse_colours(values: float | list[float]) -> tuple[float, float, float]:
    """Return three numbers, for red, green and blue; a single number applies to all three."""
    red, green, blue = [values] * 3 if isinstance(values, int | float) else values
    return float(red), float(green), float(blue)


def unsupported_error(name: str, value: Any) -> ExtractError:
    """Return the error about an unsupported setting `name` of the transform, to be raised."""
    return ExtractError(
        f"its preprocessing has {name} {json.dumps(value)}, which is not supported; expected a "
        "square size, resize_mode shortest or squash, and bicubic or bilinear interpolation"
    )
