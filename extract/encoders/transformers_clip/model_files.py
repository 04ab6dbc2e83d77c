"""Locate the files of a transformers model: local, or downloaded from the hub."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.utils import disable_progress_bars

from clip_cfr.cache.format.nested import load_json
from clip_cfr.extract.encoders.checkpoints.describe import describe_file
from clip_cfr.extract.encoders.hub_errors import NAME_ANOTHER, explain_hub_error, explain_incomplete
from clip_cfr.extract.encoders.names import explain_name, guess_meaning
from clip_cfr.extract.encoders.transformers_clip.folders import (
    CONFIGURATION,
    find_model_folder,
    is_clip,
    read_configuration,
)
from clip_cfr.extract.encoders.transformers_clip.foreign import (
    explain_folder,
    list_weights,
    processor_command,
)
from clip_cfr.extract.errors import ExtractError

# In the order in which transformers looks for them.
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
CONFIGURATION_FILES = ("*.json", "*.txt", "*.model")
# Files of a training run whose names end like those of weights.
NOT_WEIGHTS = ("training_args", "optimizer", "scheduler", "scaler", "rng_state", "adapter_model")
# The files are in a local folder by now: do not contact the hub again.
LOCAL_FILES = {"local_files_only": True, "trust_remote_code": False}
BASE = "that of the model that it was trained from"
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
    """Locate the files of a CLIP; download them if `model` is neither a local folder nor a file.

    Args:
        model: hub id, local folder, weights file, or config.json of a folder.
        revision: branch, tag or commit of a hub id; None for the default branch.

    Raises:
        ExtractError: there are no files, the hub cannot be reached, the model is not a CLIP, or a
            revision is given for local files.
    """
    path = Path(model).expanduser()
    if not path.exists():
        return locate_download(model, download_model(model, revision))
    if revision:
        raise ExtractError(f"model {model} is a local folder and has no --revision; leave it out")
    if path.suffix == ".json":
        path = path.parent
    if not path.is_dir():
        return locate_file(model, path)
    folder = find_model_folder(model, path)
    return ModelFiles(model, folder, None, find_weights(model, folder))


def locate_download(model: str, folder: Path) -> ModelFiles:
    """Locate the files of a model in the hub's local cache.

    Args:
        model: hub id.
        folder: the snapshot in the cache, named after its commit.

    Raises:
        ExtractError: files are missing there, or the model is not a CLIP.
    """
    try:
        within = find_model_folder(model, folder)
        return ModelFiles(model, within, folder.name, find_weights(model, within))
    except ExtractError as error:
        if (folder / CONFIGURATION).is_file() and has_weights(folder):
            raise
        raise ExtractError(f"{error}; {explain_incomplete()}") from error


def locate_file(model: str, path: Path) -> ModelFiles:
    """Locate a model whose weights file is given; its other files lie beside it.

    Raises:
        ExtractError: no configuration lies beside it, and the message says what the file holds; or
            the configuration is not that of a CLIP.
    """
    parts = (CONFIGURATION, "adapter_config.json")
    if not any((path.parent / name).is_file() for name in parts):
        raise ExtractError(f"model {model} is a file, {describe_file(path)}")
    find_model_folder(model, path.parent)
    return ModelFiles(model, path.parent, None, (path,))


def download_model(model: str, revision: str | None) -> Path:
    """Download a hub repository, pickled weights only if it has no others; return its folder.

    If the repository has its CLIP in a folder of its own, the weights are downloaded from there.
    Files in the hub's local cache are not downloaded again.

    Raises:
        ExtractError: the name is a path or one of another library, the hub has no such model or
            revision, it cannot be reached, or the model is one of open_clip.
    """
    if explanation := explain_name(model):
        raise ExtractError(f"model {model}: {explanation}")
    at = f" at revision {revision}" if revision else ""
    if looks_like_path(model):
        raise ExtractError(f"model {model}: there is no such folder or file; {NAME_ANOTHER}")
    disable_progress_bars()
    try:
        folder = Path(
            snapshot_download(model, revision=revision, allow_patterns=download_patterns(""))
        )
        inside = "" if (folder / CONFIGURATION).is_file() else name_of_clip_in(folder)
        if inside:
            snapshot_download(model, revision=folder.name, allow_patterns=download_patterns(inside))
        if not match_first_pattern(folder / inside, SAFETENSORS):
            pickles = [f"{inside}{pattern}" for pattern in PICKLES]
            snapshot_download(model, revision=folder.name, allow_patterns=pickles)
    except (OSError, ValueError) as error:
        why = guess_meaning(model) or explain_hub_error(error)
        raise ExtractError(f"model {model}{at} is not a local folder, and {why}") from error
    check_downloaded_type(model, folder)
    return folder


def download_patterns(inside: str) -> list[str]:
    """Return the patterns of configuration, tokenizer and safetensors files in a repository.

    Args:
        inside: folder within the repository, as `NAME/`; empty for its root.
    """
    return [inside + pattern for pattern in (*CONFIGURATION_FILES, *SAFETENSORS)]


def name_of_clip_in(folder: Path) -> str:
    """Return `NAME/` of the first folder in a repository that holds a CLIP; empty if none does."""
    return next((f"{path.name}/" for path in sorted(folder.glob("*")) if is_clip(path)), "")


def check_downloaded_type(model: str, folder: Path) -> None:
    """Raise ExtractError if a repository holds a model of open_clip alone."""
    if (folder / "open_clip_config.json").is_file() and not is_clip(folder):
        raise ExtractError(f"model {model} is a model of open_clip; write open-clip:hf-hub:{model}")


def looks_like_path(model: str) -> bool:
    """Return whether a name can only be a path, as hub ids have one slash at most."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model


def match_first_pattern(folder: Path, patterns: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the sorted files of the first pattern that matches any file; empty if none does."""
    return next((tuple(sorted(f)) for p in patterns if (f := list_matching_files(folder, p))), ())


def list_matching_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files that match a pattern, without links to files that are missing."""
    return [path for path in folder.glob(pattern) if path.is_file()]


def find_weights(model: str, folder: Path) -> tuple[Path, ...]:
    """Return the weights file of a folder, or its shards in order.

    Files under the names of transformers come first, safetensors before pickles; then the only
    weights file under another name.

    Raises:
        ExtractError: there are none or several under other names, or shards are missing.
    """
    weights = match_first_pattern(folder, SAFETENSORS + PICKLES) or find_single_weights_file(folder)
    if not weights:
        raise ExtractError(f"model {model} {explain_missing_weights(folder)}")
    missing = missing_shards(folder, weights)
    if missing:
        raise ExtractError(
            f"model {model}: {', '.join(missing)} of its weights are missing in {folder}; copy or "
            "download them"
        )
    return weights


def has_weights(folder: Path) -> bool:
    """Return whether a folder has weights under the names of transformers."""
    return bool(match_first_pattern(folder, SAFETENSORS + PICKLES))


def find_single_weights_file(folder: Path) -> tuple[Path, ...]:
    """Return the only weights file with a name of its own; empty if there is not exactly one.

    Files of a training run, such as `optimizer.pt`, do not count.
    """
    found = [path for path in list_weights(folder) if not path.stem.startswith(NOT_WEIGHTS)]
    found = [path for path in found if path.is_file()]
    return tuple(found) if len(found) == 1 else ()


def explain_missing_weights(folder: Path) -> str:
    """Describe a folder without usable weights, with the remedy; begins with a verb.

    It distinguishes links to missing files, several weights files, weights of another library, and
    none.
    """
    broken = [path for path in list_weights(folder) if path.is_symlink() and not path.exists()]
    if broken:
        link = f"{broken[0].name} -> {broken[0].readlink()}"
        return (
            f"has weights that are links to missing files, such as {link} in {folder}; copy the "
            "files too, for example with `cp -rL`"
        )
    several = [path.name for path in list_weights(folder) if not path.stem.startswith(NOT_WEIGHTS)]
    expected = f"expected {SAFETENSORS[0]} or {PICKLES[0]} in {folder}"
    if several:
        return f"has several weights files, {', '.join(several)}: name one of them, or {expected}"
    found = explain_folder(folder)
    if found.startswith("has weights of"):
        return found
    return f"has no weights: {expected}"


def missing_shards(folder: Path, weights: tuple[Path, ...]) -> list[str]:
    """Return the sorted names of shards that the index lists, but that are not among `weights`.

    The index is `model.safetensors.index.json` if the first weights file is safetensors, otherwise
    `pytorch_model.bin.index.json`. The result is empty without an index, or if the weights are one
    whole file.

    Args:
        folder: folder of the index.
        weights: the weights files that were found, at least one.

    Raises:
        ExtractError: the index is not a JSON object with `weight_map`.
    """
    base = "model.safetensors" if weights[0].suffix == ".safetensors" else "pytorch_model.bin"
    index = folder / f"{base}.index.json"
    if (len(weights) == 1 and weights[0].name == base) or not index.is_file():
        return []
    try:
        names = set(load_json(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ExtractError(f"{index}: expected a JSON object with weight_map ({error})") from error
    return sorted(names - {path.name for path in weights})


def suggest_copying_processor(files: ModelFiles) -> str:
    """Return a phrase with the command that saves image processor and tokenizer in the folder."""
    command = processor_command(files.folder, read_configuration(files.folder))
    return f"save {BASE} there: {command}"
