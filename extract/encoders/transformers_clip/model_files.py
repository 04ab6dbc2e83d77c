"""Where the files of a model lie: a local folder, or a hub repository fetched into one."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars

from clip_cfr.extract.errors import ExtractError

# In the order of preference, which is transformers' own.
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
DESCRIPTIONS = ("*.json", "*.txt")
# Types of models whose image head is one linear map of what the image tower pools. SigLIP's tower,
# for one, has none: what it pools is the embedding.
LINEAR_HEADS = ("clip", "altclip", "chinese_clip", "metaclip_2")
REMEDY = (
    "name a local folder of a transformers CLIP with --model, for example the embedded "
    "extract/tiny_clip, or fetch the model once where the hub can be reached"
)


@dataclass(frozen=True)
class ModelFiles:
    """A transformers model on disk.

    Attributes:
        model: the hub id or folder that the user named.
        folder: where the files lie.
        commit: the hub commit they come from; None for a local folder.
        weights: the weights file, or its shards in order.
    """

    model: str
    folder: Path
    commit: str | None
    weights: tuple[Path, ...]

    def weights_sha256(self) -> str:
        """Hex digest of the weights file; of its shards one after another where there are several.

        It takes about a second for a gigabyte.
        """
        digest = hashlib.sha256()
        for path in self.weights:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()


def locate(model: str, revision: str | None) -> ModelFiles:
    """The files of a CLIP, fetched from the hub where `model` is no local folder.

    Raises:
        ExtractError: nothing is there, the hub cannot be reached, or it is no CLIP.
    """
    local = Path(model).is_dir()
    if local and revision:
        raise ExtractError(f"model {model} is a local folder: it has no --revision, leave it out")
    folder = Path(model) if local else fetched(model, revision)
    check_clip(model, folder)
    return ModelFiles(model, folder, None if local else folder.name, found_weights(model, folder))


def fetched(model: str, revision: str | None) -> Path:
    """The local copy of a hub repository; it holds pickled weights only where it has no others."""
    disable_progress_bars()
    try:
        folder = Path(
            snapshot_download(
                model, revision=revision, allow_patterns=[*DESCRIPTIONS, *SAFETENSORS]
            )
        )
        if not matching(folder, SAFETENSORS):
            snapshot_download(model, revision=folder.name, allow_patterns=list(PICKLES))
    except (OSError, ValueError) as error:
        at = f" at revision {revision}" if revision else ""
        raise ExtractError(
            f"model {model}{at} is no local folder, and {hub_says(error)}; {REMEDY}"
        ) from error
    return folder


def hub_says(error: OSError | ValueError) -> str:
    """Why the hub gave nothing, in a few words."""
    if isinstance(error, HFValidationError):
        return "cannot be the name of a model on the Hugging Face hub"
    if isinstance(error, RevisionNotFoundError):
        return "the Hugging Face hub has no such revision of it"
    if isinstance(error, RepositoryNotFoundError):
        return "the Hugging Face hub has no such model, or shows it only after a login"
    return "the Hugging Face hub cannot be reached and no copy lies in its local cache"


def matching(folder: Path, patterns: tuple[str, ...]) -> tuple[Path, ...]:
    """The files of the first pattern that any file matches."""
    return next((tuple(sorted(f)) for p in patterns if (f := list(folder.glob(p)))), ())


def found_weights(model: str, folder: Path) -> tuple[Path, ...]:
    """The weights that transformers will load from the folder."""
    weights = matching(folder, SAFETENSORS + PICKLES)
    if not weights:
        raise ExtractError(
            f"model {model} holds no weights: expected {SAFETENSORS[0]} or {PICKLES[0]} in {folder}"
        )
    return weights


def check_clip(model: str, folder: Path) -> None:
    """Raises ExtractError where the folder's configuration is not that of a CLIP or its like."""
    path = folder / "config.json"
    try:
        model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except FileNotFoundError as error:
        raise ExtractError(f"model {model} holds no config.json in {folder}; {REMEDY}") from error
    except (ValueError, AttributeError) as error:
        raise ExtractError(f"{path}: expected a JSON object, found none ({error})") from error
    if model_type not in LINEAR_HEADS:
        raise ExtractError(
            f"model {model} is of type {model_type!r}; expected one of {', '.join(LINEAR_HEADS)}, "
            "whose image head is one linear map; its embeddings, made elsewhere, can be taken with "
            "the command import"
        )
