"""Choose the format of an export: which heads and models each can hold."""

from clip_cfr.extract.encoders.spec import PREFIX
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.export.selected_head import SelectedHead

OPEN_CLIP_PROCESSOR = "open_clip.image_transform_v2"


def choose_format(head: SelectedHead, form: str | None) -> str:
    """Return the format of an export: the given one, else that of the library of the model.

    Raises:
        ExtractError: the format cannot hold the head or the model; the message names those that
            can.
    """
    own = "open-clip" if is_open_clip(head) else "transformers"
    form = form or own
    if form == "safetensors":
        return form
    check_encoded(head, form)
    if form == "onnx":
        return form
    check_projection(head, form)
    if form != own:
        raise ExtractError(
            f"{head.directory}: its features are from {head.model['model']}, a model of "
            f"{own.replace('-', '_')}, which --format {form} cannot hold; use --format {own}"
        )
    return form


def is_open_clip(head: SelectedHead) -> bool:
    """Return whether the features of a run are from a model of open_clip."""
    processor = head.model.get("image_processor") or {}
    return head.model["model"].startswith(PREFIX) or processor.get("class") == OPEN_CLIP_PROCESSOR


def check_encoded(head: SelectedHead, form: str) -> None:
    """Raise ExtractError if the features were imported: then no model is known to make them."""
    if not head.model.get("weights_sha256"):
        raise ExtractError(
            f"{head.directory}: its features were imported, so that no weights of a model are "
            f"known, which --format {form} needs; use --format safetensors"
        )


def check_projection(head: SelectedHead, form: str) -> None:
    """Raise ExtractError if a head is more than a projection, or no projection, of features."""
    if head.is_projection:
        return
    if "adapter_down" in head.arrays:
        why = "an adapter of embeddings, which CLIP has not"
    else:
        why = "a linear classifier of the pooled class token, which no class of the library applies"
        if form == "transformers":
            why += " (CLIPForImageClassification averages patch tokens)"
    raise ExtractError(
        f"{head.directory}: --format {form} cannot hold the head of {head.method}, {why}; use "
        "--format onnx or --format safetensors, or the head of a method that trains the "
        "projection, such as --method cfr"
    )
