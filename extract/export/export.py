"""The Python API of the command `export`."""

from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from clip_cfr.cache.class_prompts import with_prompt_set
from clip_cfr.cache.files.atomic import make_write_error
from clip_cfr.cache.files.indexed_folder import list_files, replace_folder, reserve_folder
from clip_cfr.cache.runs.cache_of_run import open_cache_of_run
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.export import CLIP_FORMATS, FORMATS
from clip_cfr.extract.export.card import CARD, write_card
from clip_cfr.extract.export.folder import EXPORT
from clip_cfr.extract.export.formats import choose_format, is_open_clip
from clip_cfr.extract.export.group_accuracies import unit_of_groups
from clip_cfr.extract.export.head_file import write_head
from clip_cfr.extract.export.other_prompts import PromptAccuracy, measure_prompts
from clip_cfr.extract.export.selected_head import SelectedHead, select_head
from clip_cfr.extract.import_torch import import_torch

# Modules of a model import torch, which takes seconds and which safetensors does not need.
if TYPE_CHECKING:
    from clip_cfr.extract.encoders.base import Encoder

ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Export:
    """An exported head.

    Attributes:
        out: the folder.
        form: the format: `transformers`, `open-clip`, `safetensors` or `onnx`.
        method: the method that made the head.
        seed: its seed.
        files: the files of the folder, without its index.
        prompts: zero-shot accuracies with several prompts, before and after calibration, which the
            card shows; empty for `safetensors` and `onnx`, which hold no text tower.
        worst_of: `group`, or `class` if the images have no attribute: the lowest accuracies in
            `prompts` are then those of classes.
    """

    out: str
    form: str
    method: str
    seed: int
    files: tuple[str, ...]
    prompts: tuple[PromptAccuracy, ...]
    worst_of: str

    def to_json(self) -> dict[str, Any]:
        """Return the attributes by name; tuples become arrays in JSON."""
        return asdict(self)


def export_model(
    run: str | Path,
    out: str | Path,
    *,
    form: str | None = None,
    method: str | None = None,
    seed: int | None = None,
    cache: str | Path | None = None,
    model: str | None = None,
    overwrite: bool = False,
) -> Export:
    """Write the calibrated model of a run into the folder `out` and return a summary.

    Args:
        run: a run folder that `calibrate` wrote.
        out: the folder to write; it appears under this name when it is complete.
        form: `transformers` or `open-clip`, a CLIP whose projection of images is the head;
            `safetensors`, the head alone, which needs no model; or `onnx`, the image tower with the
            head. By default a CLIP of the library of the model.
        method: by default that of the recommended head.
        seed: by default that of the recommended head if the method is, else the first.
        cache: where the cache of the run is now; by default as named in the run. Only the two forms
            of a CLIP read it.
        model: where the model is now; by default as named when its features were extracted.
        overwrite: whether to replace an export in `out`.

    Raises:
        OptionError: the format is unknown.
        OutputError: `out` is one of the files to read.
        ExtractError: the head or the model does not fit the format, or the model is gone or has
            other weights.
        CacheError: the run is missing or damaged, or has no head of this method and seed; the cache
            is gone or has other contents; or `out` holds anything but an export, or one and
            `overwrite` is false.
        ModuleNotFoundError: a package that the format needs is not installed.
    """
    if form is not None and form not in FORMATS:
        raise OptionError(f"--format {form}: expected one of {', '.join(FORMATS)}")
    directory, out = Path(run), Path(out)
    head = select_head(directory, method, seed)
    chosen = choose_format(head, form)
    inputs = (directory, cache and Path(cache), Path(model or head.model["model"]).expanduser())
    with reserve_folder(EXPORT, out, overwrite, inputs) as target:
        return write_export(target, head, chosen, cache, model, overwrite)


def write_export(
    target: Path,
    head: SelectedHead,
    form: str,
    cache: str | Path | None,
    model: str | None,
    overwrite: bool,
) -> Export:
    """Write the folder, which the caller has reserved, and return a summary.

    The arguments are those of `export_model`, checked.
    """
    try:
        with replace_folder(EXPORT, target, overwrite) as folder:
            prompts = write_files(folder, head, form, cache, model)
            files = tuple(list_files(folder))
    except OSError as error:
        raise make_write_error(target, error) from error
    except SafetensorError as error:  # Of a full disk, for one.
        raise make_write_error(target, OSError(str(error))) from error
    return Export(
        str(target), form, head.method, head.seed, files, tuple(prompts), unit_of_groups(head)
    )


def write_files(
    folder: Path, head: SelectedHead, form: str, cache: str | Path | None, model: str | None
) -> list[PromptAccuracy]:
    """Write the files of an export but its index, and return the accuracies with other prompts."""
    write_head(folder, head)
    prompts, texts = [], None
    if form in CLIP_FORMATS:
        with open_cache_of_run(head.directory, head.run, cache) as opened:
            encoder = load_model(head, model)
            # The other prompt sets are measured too: the cache keeps its own.
            texts = with_prompt_set(opened, head.run.config.get("prompts")).texts
            prompts = measure_prompts(opened, texts, head.arrays, encoder.embed_texts)
            write_clip(folder, encoder, head)
    elif form == "onnx":
        import_onnx()
        encoder = load_model(head, model)
        from clip_cfr.extract.export.onnx_model import write_onnx

        write_onnx(folder, encoder, head)
    write_card(folder / CARD, head, form, prompts, texts)
    for name in list_files(folder):  # safetensors makes files that only their owner can read.
        (folder / name).chmod((folder / CARD).stat().st_mode)
    return prompts


def import_onnx() -> None:
    """Import the packages of the extra `onnx`; raise ModuleNotFoundError for the first missing."""
    for name in ONNX_PACKAGES:
        import_module(name)


def load_model(head: SelectedHead, model: str | None) -> "Encoder":
    """Load the model of a run as `load_model_of` does, importing torch first."""
    import_torch()
    from clip_cfr.extract.export.load_model import load_model_of

    return load_model_of(head, model)


def write_clip(folder: Path, encoder: "Encoder", head: SelectedHead) -> None:
    """Write the model with the head as its projection, for the library of the model."""
    if is_open_clip(head):
        from clip_cfr.extract.export.open_clip_folder import write_open_clip

        write_open_clip(folder, encoder, head.arrays)
    else:
        from clip_cfr.extract.export.transformers_folder import write_transformers

        write_transformers(folder, encoder, head.arrays)
