"""Load the encoder of a model."""

import logging
from pathlib import Path

from clip_cfr.extract.encoders.base import Encoder
from clip_cfr.extract.encoders.hub_errors import NAME_ANOTHER
from clip_cfr.extract.encoders.spec import PREFIX, EncoderSpec
from clip_cfr.extract.errors import ExtractError

logger = logging.getLogger(__name__)


def load_encoder(spec: EncoderSpec) -> Encoder:
    """Load the encoder of a model with the library that the model's name or folder selects.

    That is open_clip for a name that begins with `open-clip:` and for a folder of open_clip alone,
    otherwise transformers.

    Raises:
        ExtractError: the model, device or compute type does not exist, the weights are damaged, the
            image head is not linear, or the preprocessing is not supported.
        ModuleNotFoundError: open_clip is needed and not installed.
    """
    check_name(spec.model)
    named = spec.model.startswith(PREFIX)
    if named or is_open_clip_folder(spec.model):
        if not named:
            logger.warning(
                "model %s is one of open_clip: reading %s%s", spec.model, PREFIX, spec.model
            )
        from clip_cfr.extract.encoders.open_clip.encoder import OpenClipEncoder

        return OpenClipEncoder.load(spec)
    from clip_cfr.extract.encoders.transformers_clip.encoder import ClipEncoder

    return ClipEncoder.load(spec)


def check_name(model: str) -> None:
    """Raise ExtractError if a name is empty, or not UTF-8: then no library can open its files."""
    if not model.strip():
        raise ExtractError(f"--model is empty; {NAME_ANOTHER}")
    try:
        model.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ExtractError(
            f"model {model}: its path is not UTF-8, which the libraries that load models need; "
            "rename it, or link it under another name"
        ) from error


def is_open_clip_folder(model: str) -> bool:
    """Return whether a local folder, or the folder of a file, holds a model of open_clip alone.

    A folder that has a CLIP of transformers with its weights too gives False. So does a name that
    is not a local path.
    """
    path = Path(model).expanduser()
    folder = path.parent if path.is_file() else path
    if not (folder / "open_clip_config.json").is_file():
        return False
    from clip_cfr.extract.encoders.transformers_clip.folders import is_clip
    from clip_cfr.extract.encoders.transformers_clip.model_files import has_weights

    return not (is_clip(folder) and has_weights(folder))
