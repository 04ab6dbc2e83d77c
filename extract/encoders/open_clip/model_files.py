"""Which model of open_clip a name means, and the one file that its weights come from."""

import hashlib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub.utils import disable_progress_bars

from clip_cfr.extract.encoders.open_clip.library import open_clip, quiet
from clip_cfr.extract.errors import ExtractError

PREFIX = "open-clip:"
EXPECTED = (
    f"expected {PREFIX}ARCHITECTURE/TAG, {PREFIX}ARCHITECTURE/FILE, or {PREFIX}FOLDER with an "
    "open_clip_config.json, for example open-clip:RN50/openai"
)
CONFIGURATION = "open_clip_config.json"
# As open_clip looks for them, safe ones first.
IN_FOLDERS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
)
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class OpenClipFiles:
    """A model of open_clip on disk.

    Attributes:
        model: what the user wrote.
        name: what open_clip calls it: an architecture, or `local-dir:FOLDER`.
        weights: the file.
        commit: the hub commit that the weights come from; None for local ones.
        quick_gelu: whether the weights were trained with QuickGELU, though the architecture alone
            does not say so.
        preprocessing: what the tag says of it; empty for a file, for which open_clip's own
            defaults are taken, and for a folder, which says it itself.
    """

    model: str
    name: str
    weights: Path
    commit: str | None = None
    quick_gelu: bool = False
    preprocessing: dict[str, Any] = field(default_factory=dict)

    def configuration(self) -> dict[str, Any]:
        """How open_clip describes the two towers."""
        described = open_clip().get_model_config(self.name)
        return described | {"quick_gelu": self.quick_gelu or described.get("quick_gelu", False)}

    def weights_sha256(self) -> str:
        """Hex digest of the weights file."""
        with self.weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def locate(model: str, revision: str | None) -> OpenClipFiles:
    """The files of a model, fetched where it is named by a tag.

    Raises:
        ExtractError: no such model, no weights, or weights that only code could load.
    """
    if revision:
        raise ExtractError(f"model {model}: models of open_clip take no --revision, leave it out")
    rest = model.removeprefix(PREFIX)
    if rest and Path(rest).is_dir():
        return in_folder(model, Path(rest))
    architecture, _, pretrained = rest.partition("/")
    library = open_clip()
    if not pretrained or architecture not in library.list_models():
        raise ExtractError(
            f"model {model}: {architecture!r} is no folder and no architecture that open_clip "
            f"knows; {EXPECTED}"
        )
    files = tagged if library.is_pretrained_cfg(architecture, pretrained) else from_file
    return files(model, architecture, pretrained)


def in_folder(model: str, folder: Path) -> OpenClipFiles:
    """The model of a folder that says itself what it is."""
    if not (folder / CONFIGURATION).is_file():
        raise ExtractError(f"model {model}: {folder} holds no {CONFIGURATION}; {EXPECTED}")
    weights = next((path for name in IN_FOLDERS if (path := folder / name).is_file()), None)
    if weights is None:
        raise ExtractError(
            f"model {model} holds no weights: expected one of {', '.join(IN_FOLDERS)} in {folder}"
        )
    return OpenClipFiles(model, f"local-dir:{folder}", checked(model, weights))


def tagged(model: str, architecture: str, tag: str) -> OpenClipFiles:
    """The model of published weights."""
    library = open_clip()
    published = library.get_pretrained_cfg(architecture, tag)
    disable_progress_bars()
    try:
        with quiet():
            weights = Path(library.download_pretrained(published))
    # The hub's client and urllib each have their own, down to bare RuntimeError.
    except Exception as error:
        raise ExtractError(
            f"model {model}: its weights cannot be fetched, and no copy lies in the local cache; "
            f"fetch the file elsewhere and name it: {PREFIX}{architecture}/FILE"
        ) from error
    commit = weights.parent.name if weights.parent.parent.name == "snapshots" else None
    return OpenClipFiles(
        model,
        architecture,
        checked(model, weights),
        commit,
        bool(published.get("quick_gelu")),
        {k: v for k, v in published.items() if k not in ("url", "hf_hub", "quick_gelu")},
    )


def from_file(model: str, architecture: str, path: str) -> OpenClipFiles:
    """The model of a weights file.

    A file does not say which activation it was trained with. The architecture says GELU or
    QuickGELU; where all published weights of it (those of RN50) were trained with QuickGELU though
    it says GELU, QuickGELU is meant.
    """
    library = open_clip()
    tags = library.list_pretrained_tags_by_model(architecture)
    if not Path(path).is_file():
        raise ExtractError(
            f"model {model}: {path} is no file, and no tag of {architecture}, which has "
            f"{', '.join(tags) or 'none'}"
        )
    published = [library.get_pretrained_cfg(architecture, tag) for tag in tags]
    quick = bool(tags) and all(each.get("quick_gelu") for each in published)
    return OpenClipFiles(model, architecture, checked(model, Path(path)), quick_gelu=quick)


def checked(model: str, weights: Path) -> Path:
    """The weights file, if it can be loaded without running code that it brings."""
    if weights.suffix not in SUFFIXES:
        raise ExtractError(
            f"model {model}: {weights} is no weights file, expected one of {', '.join(SUFFIXES)}"
        )
    if is_torchscript(weights):
        plain = weights.with_name(f"{weights.stem}-weights.pt")
        raise ExtractError(
            f"{weights} is a TorchScript archive, which holds code; if you trust it, take the "
            f'weights out: python -c "import torch; w = torch.jit.load({str(weights)!r}, '
            "map_location='cpu').state_dict(); [w.pop(k, None) for k in ('input_resolution', "
            f"'context_length', 'vocab_size')]; torch.save(dict(w), {str(plain)!r})\""
        )
    return weights


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive as torch.jit saves one."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
