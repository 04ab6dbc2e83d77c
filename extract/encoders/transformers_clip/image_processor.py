"""Load the image processor of a CLIP, also one under an old name."""

import json
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoImageProcessor, PreTrainedConfig

from clip_cfr.extract.encoders.load_errors import convert_load_errors
from clip_cfr.extract.encoders.transformers_clip.folders import find_folder_of
from clip_cfr.extract.encoders.transformers_clip.model_files import (
    BASE,
    LOCAL_FILES,
    ModelFiles,
    suggest_copying_processor,
)
from clip_cfr.extract.errors import ExtractError

PROCESSOR_FILES = (("preprocessor_config.json",), ("processor_config.json",))
OLD_ENDING = "FeatureExtractor"


def load_processor(files: ModelFiles, config: PreTrainedConfig) -> Any:
    """Load the image processor that uses Pillow and numpy, to read its configuration.

    Its backend is requested by name: transformers prefers torchvision if that is installed, which
    resizes differently.

    Args:
        files: the model; the image processor may lie beside its folder (see `find_folder_of`).
        config: the model's configuration, which names the class if the processor's does not.

    Raises:
        ExtractError: the image processor is damaged or missing, or of an unknown class.
    """
    folder = find_folder_of(files.folder, PROCESSOR_FILES)
    if folder is None:
        raise ExtractError(
            f"model {files.model} has no image processor: expected preprocessor_config.json in "
            f"{files.folder}; {suggest_copying_processor(files)}"
        )
    remedy = f"correct preprocessor_config.json, or copy {BASE}"
    with convert_load_errors(files.model, "image processor", folder, remedy):
        check_processor_name(files, folder)
        if old := old_processor_class(folder):
            return old.from_pretrained(folder, local_files_only=True)
        # Old files name no class: the model's then counts, whose configuration may lie elsewhere.
        options = {} if names_class(folder) else {"config": config}
        return AutoImageProcessor.from_pretrained(folder, backend="pil", **options, **LOCAL_FILES)


def check_processor_name(files: ModelFiles, folder: Path) -> None:
    """Raise ExtractError if transformers does not know the class that an image processor names.

    No class, or code of its own (`auto_map`), is no error here.

    Args:
        files: the model, for the message.
        folder: folder of the image processor's configuration, see `read_processor`.
    """
    settings = read_processor(folder)
    name = settings.get("image_processor_type")
    if name is None or "auto_map" in settings:
        return
    base = str(name).removesuffix("Fast").replace(OLD_ENDING, "ImageProcessor")
    if not (base.endswith("ImageProcessor") and hasattr(transformers, base)):
        raise ExtractError(
            f"model {files.model}: transformers knows no image processor {name!r}, the "
            f"image_processor_type in {folder}; for CLIP, write CLIPImageProcessor"
        )


def old_processor_class(folder: Path) -> Any:
    """Return the current class of an image processor whose file has the old name of its class.

    An old name ends with FeatureExtractor: `CLIPImageProcessorPil` of transformers is returned for
    CLIPFeatureExtractor. None if the file names no class or one with another ending, or if
    transformers has no current class of that name.

    Args:
        folder: folder of the image processor's configuration, see `read_processor`.

    Raises:
        FileNotFoundError, ValueError: as for `read_processor`.
    """
    name = read_processor(folder).get("image_processor_type")
    if not isinstance(name, str) or not name.endswith(OLD_ENDING):
        return None
    return getattr(transformers, f"{name.removesuffix(OLD_ENDING)}ImageProcessorPil", None)


def names_class(folder: Path) -> bool:
    """Return whether the configuration of an image processor names its class, or own code.

    Raises:
        FileNotFoundError, ValueError: as for `read_processor`.
    """
    keys = ("image_processor_type", "feature_extractor_type", "auto_map")
    return any(key in read_processor(folder) for key in keys)


def read_processor(folder: Path) -> dict[str, Any]:
    """Return the configuration of the image processor in a folder, as stored in its file.

    That is preprocessor_config.json, or else the part `image_processor` of processor_config.json,
    which is an empty dict if the file lacks it.

    Raises:
        FileNotFoundError: the folder has neither file.
        ValueError: the file is not valid JSON, or it or the configuration is not an object.
    """
    path = folder / "preprocessor_config.json"
    if path.is_file():
        return read_object(path)
    settings = read_object(folder / "processor_config.json").get("image_processor", {})
    return check_object(settings)


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not valid JSON, or not an object.
    """
    return check_object(json.loads(path.read_text(encoding="utf-8")))


def check_object(value: Any) -> dict[str, Any]:
    """Return a JSON value that is an object; raise ValueError for any other."""
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {type(value).__name__}")
    return value
