"""Convert the configuration of a transformers image processor to a `Preprocessing`."""

import json
from typing import Any

from PIL import Image
from transformers import CLIPVisionConfig

from clip_cfr.extract.encoders.transformers_clip.model_files import ModelFiles
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.preprocessing import Preprocessing

# Further steps of an image processor, with the settings that leave the image unchanged.
NEUTRAL_SETTINGS = {
    "do_pad": (None, False),
    "do_rescale": (True,),
    "rescale_factor": (1 / 255,),
    "do_resize": (True,),
}


def describe_processor(processor: Any) -> dict[str, Any]:
    """Return `class`, the class name of an image processor, and `configuration`, in JSON types."""
    configuration = json.loads(processor.to_json_string())
    return {"class": type(processor).__name__, "configuration": configuration}


def make_preprocessing(files: ModelFiles, processor: Any, tower: CLIPVisionConfig) -> Preprocessing:
    """Return the preprocessing that reproduces an image processor bit by bit.

    Raises:
        ExtractError: the processor has an unsupported step, or its images have another size
            than the tower takes.
    """
    try:
        preprocessing = parse_processor(describe_processor(processor)["configuration"])
    except ExtractError as error:
        raise ExtractError(f"model {files.model}: {error}") from error
    side, expected = preprocessing.side, tower.image_size
    if side != expected:
        raise ExtractError(
            f"model {files.model}: its image processor makes {side} x {side} pixels, its image "
            f"tower takes {expected} x {expected}; correct preprocessor_config.json"
        )
    return preprocessing


def parse_processor(configuration: dict[str, Any]) -> Preprocessing:
    """Return the preprocessing of an image processor with this configuration.

    Supported are a resize of the shorter side and a centre crop, or a resize to a square, and a
    normalization.

    Raises:
        ExtractError: the processor has an unsupported step; the message names it.
    """
    for name, neutral in NEUTRAL_SETTINGS.items():
        if configuration.get(name, neutral[0]) not in neutral:
            raise unsupported_error(name, configuration[name])
    size, crop = configuration["size"], configuration.get("crop_size")
    crops = bool(configuration.get("do_center_crop"))
    mean, std = parse_normalization(configuration)
    fields = {"resample": parse_resample(configuration), "mean": mean, "std": std}
    if set(given_keys(size)) == {"shortest_edge"} and crops:
        side = parse_square("crop_size", crop)
        return Preprocessing(side=side, shorter_side=size["shortest_edge"], **fields)
    if set(given_keys(size)) == {"height", "width"}:
        side = parse_square("size", size)
        if not crops or parse_square("crop_size", crop) == side:
            return Preprocessing(side=side, shorter_side=None, **fields)
    raise unsupported_error("size", size)


def parse_normalization(
    configuration: dict[str, Any],
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the mean and the standard deviation of red, green and blue.

    They are zeros and ones if the processor does not normalize.
    """
    if not configuration.get("do_normalize"):
        return (0.0,) * 3, (1.0,) * 3
    mean, std = (tuple(map(float, configuration[f"image_{name}"])) for name in ("mean", "std"))
    return mean, std


def parse_resample(configuration: dict[str, Any]) -> int:
    """Return the number of the filter in `PIL.Image.Resampling`, which is given by number or name.

    Raises:
        ExtractError: Pillow does not have it.
    """
    found = configuration.get("resample")
    if isinstance(found, str):
        found = Image.Resampling.__members__.get(found.upper(), found)
    if found not in list(Image.Resampling):
        raise unsupported_error("resample", found)
    return int(found)


def parse_square(name: str, size: Any) -> int:
    """Return the side in pixels of a size with equal `height` and `width`.

    Raises:
        ExtractError: it is anything else; the message calls it `name`.
    """
    if set(given_keys(size)) != {"height", "width"} or size["height"] != size["width"]:
        raise unsupported_error(name, size)
    return size["height"]


def given_keys(size: Any) -> list[str]:
    """Return the keys of a size whose value is not None; empty if the size is None."""
    return [key for key, value in size.items() if value is not None] if size else []


def unsupported_error(name: str, value: Any) -> ExtractError:
    """Return the error about an unsupported setting `name` of an image processor, to be raised."""
    return ExtractError(
        f"its image processor has {name} {json.dumps(value)}, which is not supported; expected a "
        "resize of the shorter side and a centre crop, or a resize to a square"
    )
