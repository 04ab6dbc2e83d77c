"""Find the folder of a CLIP in, below or above the folder that the user named."""

import json
import logging
from pathlib import Path
from typing import Any

from clip_cfr.extract.encoders.transformers_clip.foreign import (
    explain_folder,
    explain_type,
    format_folders,
)
from clip_cfr.extract.errors import ExtractError

logger = logging.getLogger(__name__)
CONFIGURATION = "config.json"
# Model types whose image embedding is a linear map of the pooled output of the image tower, with
# their classes in transformers. SigLIP, for one, has no such map: its pooled output is the
# embedding.
LINEAR_HEADS = {
    "clip": "CLIPModel",
    "altclip": "AltCLIPModel",
    "chinese_clip": "ChineseCLIPModel",
    "metaclip_2": "MetaClip2Model",
}
# Where processors are saved apart from the weights, below the model or beside it.
PROCESSOR_FOLDERS = ("processor", "image_processor", "feature_extractor", "tokenizer")


def find_model_folder(model: str, folder: Path) -> Path:
    """Return the folder with the configuration of a CLIP: this one, or the only one inside it.

    sentence-transformers keeps its CLIP in `0_CLIPModel`, the hub's cache in `snapshots/COMMIT`. A
    folder inside is logged as a warning.

    Raises:
        ExtractError: there is none, and the message says what the folder holds instead; there are
            several; or the configuration is that of another model.
    """
    if (folder / "adapter_config.json").is_file():
        raise ExtractError(f"model {model} {explain_folder(folder)}")
    if (folder / CONFIGURATION).is_file():
        check_model_type(model, folder)
        return folder
    below = [path for path in subfolders(folder) if is_clip(path)]
    if len(below) == 1:
        logger.warning("model %s: taking the model in %s", model, below[0])
        return below[0]
    if below:
        raise ExtractError(f"model {model} holds several models; name one: {format_folders(below)}")
    if is_clip(folder.resolve().parent):
        parent = folder.resolve().parent
        raise ExtractError(f"model {model} has no {CONFIGURATION}; the model is in {parent}")
    raise ExtractError(f"model {model} {explain_folder(folder)}")


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, and those in its `snapshots` (the hub's cache), sorted."""
    return sorted(
        path for path in (*folder.iterdir(), *folder.glob("snapshots/*")) if path.is_dir()
    )


def is_clip(folder: Path) -> bool:
    """Return whether config.json of a folder names a supported model type.

    False if it is damaged or missing.
    """
    try:
        return read_configuration(folder).get("model_type") in LINEAR_HEADS
    except (OSError, ExtractError):
        return False


def check_model_type(model: str, folder: Path) -> None:
    """Raise ExtractError if a folder's model has no linear image head, or quantized weights."""
    configuration = read_configuration(folder)
    if configuration.get("model_type") not in LINEAR_HEADS:
        raise ExtractError(
            f"model {model} {explain_type(folder, configuration, list(LINEAR_HEADS))}"
        )
    if configuration.get("quantization_config"):
        raise ExtractError(
            f"model {model} has quantized weights, as quantization_config in its config.json says; "
            "take the model before quantization, and choose the type to compute in with --dtype"
        )


def read_configuration(folder: Path) -> dict[str, Any]:
    """Return the content of config.json.

    Raises:
        ExtractError: it is not a JSON object.
        OSError: it cannot be read.
    """
    path = folder / CONFIGURATION
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ExtractError(f"{path}: expected a JSON object ({error})") from error
    if not isinstance(found, dict):
        raise ExtractError(f"{path}: expected a JSON object, found {type(found).__name__}")
    return found


def find_folder_of(folder: Path, alternatives: tuple[tuple[str, ...], ...]) -> Path | None:
    """Return the folder that holds the files of an image processor or a tokenizer, or None.

    The first match is returned: the folder of the weights, its parent (where training often saves
    them), then the `PROCESSOR_FOLDERS` in both. Any but the first is logged as a warning.

    Args:
        folder: the folder of the weights.
        alternatives: tuples of file names; a folder matches if it holds all files of one tuple.
    """
    folder = folder.resolve()
    candidates = [folder, folder.parent]
    candidates += [base / name for base in candidates[:2] for name in PROCESSOR_FOLDERS]
    for candidate in candidates:
        if any(all((candidate / name).is_file() for name in names) for names in alternatives):
            if candidate != folder:
                logger.warning("taking %s from %s", alternatives[0][0], candidate)
            return candidate
    return None
