"""Locate the files of a transformers model: in a local folder, or downloaded from the hub."""

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

# In the order in which transformers looks for them.
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
CONFIGURATION_FILES = ("*.json", "*.txt")
# Model types whose image embedding is a linear map of the pooled output of the image tower. SigLIP,
# for one, has no such map: its pooled output is the embedding.
LINEAR_HEADS = ("clip", "altclip", "chinese_clip", "metaclip_2")
REMEDY = (
    "name a local folder of a transformers CLIP with --model, such as the embedded "
    "extract/tiny_clip, or download the model once on a machine that reaches the hub"
)
BLOCK_SIZE = 1 << 20


@dataclass(frozen=True)
class ModelFiles:
    """A transformers model on disk.

    Attributes:
        model: hub id or folder, as given by the user.
        folder: folder of the files.
        commit: hub commit of the files; None for a local folder.
        weights: the weights file, or its shards in order.
    """

    model: str
    folder: Path
    commit: str | None
    weights: tuple[Path, ...]

    def weights_sha256(self) -> str:
        """Return the hex digest of the weights file, or of its shards one after another.

        This takes about a second per gigabyte.
        """
        digest = hashlib.sha256()
        for path in self.weights:
            with path.open("rb") as file:
                while block := file.read(BLOCK_SIZE):
                    digest.update(block)
        return digest.hexdigest()


def locate_model(model: str, revision: str | None) -> ModelFiles:
    """Locate the files of a CLIP; download them if `model` is not a local folder.

    Raises:
        ExtractError: if there are no files, the hub cannot be reached, or the model is not a CLIP.
    """
    is_local = Path(model).is_dir()
    if is_local and revision:
        raise ExtractError(f"model {model} is a local folder and has no --revision; leave it out")
    folder = Path(model) if is_local else download_model(model, revision)
    check_model_type(model, folder)
    commit = None if is_local else folder.name
    return ModelFiles(model, folder, commit, find_weights(model, folder))


def download_model(model: str, revision: str | None) -> Path:
    """Download a hub repository, pickled weights only if it has no others; return its folder."""
    disable_progress_bars()
    patterns = [*CONFIGURATION_FILES, *SAFETENSORS]
    try:
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
        if not match_first_pattern(folder, SAFETENSORS):
            snapshot_download(model, revision=folder.name, allow_patterns=list(PICKLES))
    except (OSError, ValueError) as error:
        at = f" at revision {revision}" if revision else ""
        raise ExtractError(
            f"model {model}{at} is not a local folder, and {explain_hub_error(error)}; {REMEDY}"
        ) from error
    return folder


def explain_hub_error(error: OSError | ValueError) -> str:
    """Return a phrase that says why nothing was downloaded."""
    if isinstance(error, HFValidationError):
        return "cannot be the name of a model on the Hugging Face hub"
    if isinstance(error, RevisionNotFoundError):
        return "the Hugging Face hub has no such revision of it"
    if isinstance(error, RepositoryNotFoundError):
        return "the Hugging Face hub has no such model, or it needs a login"
    return "the Hugging Face hub cannot be reached and its local cache has no copy"


def match_first_pattern(folder: Path, patterns: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the sorted files of the first pattern that matches any file."""
    return next((tuple(sorted(f)) for p in patterns if (f := list(folder.glob(p)))), ())


def find_weights(model: str, folder: Path) -> tuple[Path, ...]:
    """Return the weights files that transformers will load; ExtractError if there are none."""
    weights = match_first_pattern(folder, SAFETENSORS + PICKLES)
    if not weights:
        raise ExtractError(
            f"model {model} has no weights: expected {SAFETENSORS[0]} or {PICKLES[0]} in {folder}"
        )
    return weights


def check_model_type(model: str, folder: Path) -> None:
    """Raise ExtractError if the folder does not hold a model with a linear image head."""
    path = folder / "config.json"
    try:
        model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except FileNotFoundError as error:
        raise ExtractError(f"model {model} has no config.json in {folder}; {REMEDY}") from error
    except (ValueError, AttributeError) as error:
        raise ExtractError(f"{path}: expected a JSON object ({error})") from error
    if model_type not in LINEAR_HEADS:
        raise ExtractError(
            f"model {model} is of type {model_type!r}; expected one of {', '.join(LINEAR_HEADS)}, "
            "whose image head is one linear map; embeddings computed elsewhere can be imported "
            "with the command import"
        )
