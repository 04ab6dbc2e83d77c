"""The view of a transformers image processor."""

import json
from typing import Any

from PIL import Image
from transformers import CLIPVisionConfig

from clip_cfr.extract.encoders.transformers_clip.model_files import ModelFiles
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.preprocessing import View

# What a processor may do to an image besides, and the values with which it does nothing.
NOTHING_ELSE = {
    "do_pad": (None, False),
    "do_rescale": (True,),
    "rescale_factor": (1 / 255,),
    "do_resize": (True,),
}


def described(processor: Any) -> dict[str, Any]:
    """The class of an image processor and its full configuration, in JSON types."""
    configuration = json.loads(processor.to_json_string())
    return {"class": type(processor).__name__, "configuration": configuration}


def view_for(files: ModelFiles, processor: Any, tower: CLIPVisionConfig) -> View:
    """The view that gives the pixels of the processor, which must be what the tower takes.

    Raises:
        ExtractError: the processor does something that no view does, or makes other sizes.
    """
    try:
        view = view_of(described(processor)["configuration"])
    except ExtractError as error:
        raise ExtractError(f"model {files.model}: {error}") from error
    if view.side != tower.image_size:
        raise ExtractError(
            f"model {files.model}: its image processor makes {view.side} x {view.side} pixels, its "
            f"image tower takes {tower.image_size} x {tower.image_size}; correct "
            "preprocessor_config.json"
        )
    return view


def view_of(configuration: dict[str, Any]) -> View:
    """The view that gives the pixels of an image processor of this configuration.

    Raises:
        ExtractError: the processor does something that no view does; the message names it.
    """
    for name, values in NOTHING_ELSE.items():
        if configuration.get(name, values[0]) not in values:
            raise refusal(name, configuration[name])
    size, crop = configuration["size"], configuration.get("crop_size")
    cropped = bool(configuration.get("do_center_crop"))
    mean, std = (0.0,) * 3, (1.0,) * 3
    if configuration.get("do_normalize"):
        mean, std = (tuple(map(float, configuration[f"image_{name}"])) for name in ("mean", "std"))
    fields = {"resample": resample(configuration), "mean": mean, "std": std}
    if set(keys(size)) == {"shortest_edge"} and cropped:
        return View(side=square("crop_size", crop), shorter_side=size["shortest_edge"], **fields)
    if set(keys(size)) == {"height", "width"}:
        side = square("size", size)
        if not cropped or square("crop_size", crop) == side:
            return View(side=side, shorter_side=None, **fields)
    raise refusal("size", size)


def resample(configuration: dict[str, Any]) -> int:
    """The number of the filter, if Pillow has it."""
    found = configuration.get("resample")
    if found not in list(Image.Resampling):
        raise refusal("resample", found)
    return int(found)


def square(name: str, size: Any) -> int:
    """The side of a size that is a square."""
    if set(keys(size)) != {"height", "width"} or size["height"] != size["width"]:
        raise refusal(name, size)
    return size["height"]


def keys(size: Any) -> list[str]:
    """The names under which a size gives something."""
    return [key for key, value in size.items() if value is not None] if size else []


def refusal(name: str, value: Any) -> ExtractError:
    """The error over a setting of an image processor."""
    return ExtractError(
        f"its image processor has {name} {json.dumps(value)}, which is not reproduced here; "
        "expected to scale the shorter side and cut out the centre, or to scale to a square"
    )
