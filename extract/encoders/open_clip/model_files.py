"""Locate the configuration and the weights file of an open_clip model."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import disable_progress_bars

from clip_cfr.extract.encoders.checkpoints.file_kind import (
    SAFETENSORS,
    TORCH,
    TORCHSCRIPT,
    file_kind,
)
from clip_cfr.extract.encoders.checkpoints.published import find_published
from clip_cfr.extract.encoders.checkpoints.read import describe_torchscript
from clip_cfr.extract.encoders.hub_errors import explain_hub_error
from clip_cfr.extract.encoders.open_clip.library import import_open_clip, silence_open_clip
from clip_cfr.extract.encoders.spec import HUB, PREFIX
from clip_cfr.extract.errors import ExtractError

EXPECTED = (
    f"expected {PREFIX}ARCHITECTURE/TAG, {PREFIX}ARCHITECTURE/FILE, {PREFIX}hf-hub:REPOSITORY, or "
    f"{PREFIX}FOLDER with an open_clip_config.json, for example open-clip:RN50/openai"
)
CONFIGURATION_FILE = "open_clip_config.json"
# In the order in which open_clip looks for them in a folder, safe formats first.
FOLDER_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
)
LOCAL = "local-dir:"


@dataclass(frozen=True)
class OpenClipFiles:
    """An open_clip model on disk.

    Attributes:
        model: the name given by the user.
        name: open_clip's name: an architecture, or `local-dir:FOLDER`.
        weights: the weights file.
        commit: hub commit of the weights; None for local files.
        quick_gelu: whether the weights were trained with QuickGELU although the architecture does
            not say so.
        preprocessing: preprocessing settings of a pretrained tag. Empty for a weights file, which
            gets open_clip's defaults, and for a folder, which has its own.
    """

    model: str
    name: str
    weights: Path
    commit: str | None = None
    quick_gelu: bool = False
    preprocessing: dict[str, Any] = field(default_factory=dict)

    def configuration(self) -> dict[str, Any]:
        """Return open_clip's configuration of both towers; `quick_gelu` is that of the weights."""
        found = import_open_clip().get_model_config(self.name)
        return found | {"quick_gelu": self.quick_gelu or found.get("quick_gelu", False)}

    def weights_sha256(self) -> str:
        """Return the hex SHA-256 of the weights file."""
        with self.weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def locate_model(model: str, revision: str | None) -> OpenClipFiles:
    """Locate the files of a model; download those of a repository or a pretrained tag.

    Args:
        model: name of one of the forms in `EXPECTED`; the prefix `open-clip:` may be missing. A
            weights file with open_clip_config.json beside it is a model too.
        revision: must be None or empty: these models have no revision.

    Raises:
        ExtractError: the model does not exist, has no weights, cannot be downloaded, or has weights
            that cannot be loaded without executing code; or a revision is given.
    """
    if revision:
        raise ExtractError(f"model {model}: models of open_clip have no --revision; leave it out")
    rest = model.removeprefix(PREFIX).removeprefix(LOCAL)
    if rest.startswith(HUB):
        return download_repository(model, rest.removeprefix(HUB))
    path = Path(rest).expanduser()
    if path.name == CONFIGURATION_FILE:
        path = path.parent
    if rest and path.is_dir():
        return locate_in_folder(model, path)
    if rest and path.is_file() and (path.parent / CONFIGURATION_FILE).is_file():
        check_weights_file(model, path)
        return OpenClipFiles(model, f"{LOCAL}{path.parent}", path)
    architecture, _, pretrained = rest.partition("/")
    library = import_open_clip()
    if not pretrained or architecture not in library.list_models():
        raise ExtractError(explain_unknown(model, rest, architecture))
    if library.is_pretrained_cfg(architecture, pretrained):
        return download_tag(model, architecture, pretrained)
    return locate_weights_file(model, architecture, Path(pretrained).expanduser())


def explain_unknown(model: str, rest: str, architecture: str) -> str:
    """Return the message about a name that is not a model, with the likely one.

    Args:
        model: the name given by the user.
        rest: the name without prefix.
        architecture: the part of `rest` before the first slash.
    """
    tags = import_open_clip().list_pretrained_tags_by_model(rest)
    if tags:
        return (
            f"model {model}: name the weights too, {PREFIX}{rest}/TAG with one of {', '.join(tags)}"
        )
    clip = find_published(rest)
    meant = f"; write {clip.open_clip_name}" if clip else f"; {EXPECTED}"
    return (
        f"model {model}: {architecture!r} is neither a folder nor an architecture of open_clip"
        f"{meant}"
    )


def download_repository(model: str, repository: str) -> OpenClipFiles:
    """Download a hub repository of an open_clip model, with one weights file, and locate it.

    Raises:
        ExtractError: there is none, it has no weights, or the hub cannot be reached.
    """
    disable_progress_bars()
    try:
        folder = Path(snapshot_download(repository, allow_patterns=["*.json", "*.txt", "*.model"]))
        if not any((folder / name).is_file() for name in FOLDER_WEIGHTS):
            listed = HfApi().list_repo_files(repository, revision=folder.name)
            weights = [name for name in FOLDER_WEIGHTS if name in listed][:1]
            # Without patterns, or with None, all files would be downloaded.
            if weights:
                snapshot_download(repository, revision=folder.name, allow_patterns=weights)
    except (OSError, ValueError, OfflineModeIsEnabled) as error:
        raise ExtractError(f"model {model}: {explain_hub_error(error)}") from error
    return replace(locate_in_folder(model, folder), commit=folder.name)


def locate_in_folder(model: str, folder: Path) -> OpenClipFiles:
    """Locate the files of a folder with open_clip_config.json and weights.

    The weights are the first file of `FOLDER_WEIGHTS` that exists.

    Raises:
        ExtractError: one of the two is missing, or the weights cannot be loaded without their code.
    """
    if not (folder / CONFIGURATION_FILE).is_file():
        raise ExtractError(f"model {model}: {folder} has no {CONFIGURATION_FILE}; {EXPECTED}")
    weights = next((path for name in FOLDER_WEIGHTS if (path := folder / name).is_file()), None)
    if weights is None:
        raise ExtractError(
            f"model {model} has no weights: expected one of {', '.join(FOLDER_WEIGHTS)} in {folder}"
        )
    check_weights_file(model, weights)
    return OpenClipFiles(model, f"{LOCAL}{folder}", weights)


def download_tag(model: str, architecture: str, tag: str) -> OpenClipFiles:
    """Download the published weights of an architecture, unless the local cache has them.

    Args:
        model: the name given by the user.
        architecture: name of the architecture in open_clip.
        tag: one of its pretrained tags.

    Raises:
        ExtractError: they cannot be downloaded, or cannot be loaded without executing code.
    """
    library = import_open_clip()
    published = library.get_pretrained_cfg(architecture, tag)
    disable_progress_bars()
    try:
        with silence_open_clip():
            weights = Path(library.download_pretrained(published))
    # The hub's client and urllib each raise exceptions of their own, down to bare RuntimeError.
    except Exception as error:
        raise ExtractError(
            f"model {model}: its weights cannot be downloaded, and the local cache has no copy; "
            f"download the file on another machine and name it: {PREFIX}{architecture}/FILE"
        ) from error
    check_weights_file(model, weights)
    not_preprocessing = ("url", "hf_hub", "quick_gelu")
    return OpenClipFiles(
        model,
        architecture,
        weights,
        commit=weights.parent.name if weights.parent.parent.name == "snapshots" else None,
        quick_gelu=bool(published.get("quick_gelu")),
        preprocessing={k: v for k, v in published.items() if k not in not_preprocessing},
    )


def locate_weights_file(model: str, architecture: str, weights: Path) -> OpenClipFiles:
    """Return the files of a model whose weights are a local file.

    A weights file does not record the activation that it was trained with. The architecture
    specifies GELU or QuickGELU. If it specifies GELU, but all its published weights were trained
    with QuickGELU (as those of RN50), the file is taken to be trained with QuickGELU.

    Args:
        model: the name given by the user.
        architecture: name of the architecture in open_clip.
        weights: the file.

    Raises:
        ExtractError: there is no such file, or it cannot be loaded without executing code.
    """
    library = import_open_clip()
    tags = library.list_pretrained_tags_by_model(architecture)
    if not weights.is_file():
        raise ExtractError(
            f"model {model}: {weights} is neither a file nor a tag of {architecture}, which has "
            f"{', '.join(tags) or 'none'}"
        )
    check_weights_file(model, weights)
    published = [library.get_pretrained_cfg(architecture, tag) for tag in tags]
    quick_gelu = bool(tags) and all(tag.get("quick_gelu") for tag in published)
    return OpenClipFiles(model, architecture, weights, quick_gelu=quick_gelu)


def check_weights_file(model: str, weights: Path) -> None:
    """Raise ExtractError if a file is neither safetensors nor of torch.save, or is TorchScript."""
    kind = file_kind(weights)
    if kind == TORCHSCRIPT:
        raise ExtractError(describe_torchscript(weights))
    if kind not in (SAFETENSORS, TORCH):
        raise ExtractError(f"model {model}: {weights} is {kind}")
