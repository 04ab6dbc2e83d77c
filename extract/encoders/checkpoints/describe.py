"""Describe a weights file without a configuration beside it, and how to name its model."""

from pathlib import Path

from clip_cfr.extract.encoders.checkpoints.file_kind import (
    SAFETENSORS,
    TORCH,
    TORCHSCRIPT,
    file_kind,
)
from clip_cfr.extract.encoders.checkpoints.keys import (
    OPEN_CLIP_ANCHORS,
    TRANSFORMERS_ANCHORS,
    has_anchor,
    has_lora,
)
from clip_cfr.extract.encoders.checkpoints.published import find_by_weights, find_published
from clip_cfr.extract.encoders.checkpoints.read import (
    Tensors,
    describe_torchscript,
    python_command,
    read_tensors,
)


def describe_file(path: Path) -> str:
    """Describe the contents of a weights file, and how to name its model.

    The text continues `model M is a file, `.

    Raises:
        ExtractError: the file holds weights that cannot be read.
    """
    kind = file_kind(path)
    if kind == TORCHSCRIPT:
        return describe_archive(path)
    if kind not in (SAFETENSORS, TORCH):
        return kind
    return describe_tensors(path, read_tensors(str(path), path))


def describe_archive(path: Path) -> str:
    """Describe how to use a TorchScript archive, the form in which OpenAI publishes its models.

    The file name tells the published CLIP, and so the hub id and the architecture to name; for any
    other name, `ARCHITECTURE` stands in.
    """
    clip = find_published(path.stem)
    architecture = clip.architecture if clip else "ARCHITECTURE"
    plain = path.with_name(f"{path.stem}-weights.pt")
    hub = (
        f"name {clip.hub_id}, the same model for transformers; or: " if clip and clip.hub_id else ""
    )
    return f"{hub}{describe_torchscript(path)} and name open-clip:{architecture}-quickgelu/{plain}"


def describe_tensors(path: Path, tensors: Tensors) -> str:
    """Describe the library that the weights belong to, and how to name their model.

    The library is told by the names of the weights, the published CLIP by their shapes. LoRA
    updates and weights of no CLIP are described too. The text continues `model M is a file, `.

    Args:
        path: the weights file.
        tensors: its tensors by name.
    """
    clip = find_by_weights(tensors)
    if has_lora(tensors):
        return "with LoRA updates alone or beside the weights: merge them and save the whole model"
    if has_anchor(tensors, TRANSFORMERS_ANCHORS):
        base = (clip and clip.hub_id) or "BASE_MODEL"
        program = (
            "from transformers import CLIPConfig, CLIPProcessor; "
            f"[c.from_pretrained({base!r}).save_pretrained({str(path.parent)!r}) "
            "for c in (CLIPConfig, CLIPProcessor)]"
        )
        return (
            "the weights of a transformers CLIP without config.json beside it; save the other "
            f"files of the model that it was trained from there: {python_command(program)}"
        )
    if has_anchor(tensors, OPEN_CLIP_ANCHORS):
        architecture = clip.architecture if clip else "ARCHITECTURE"
        quick = f" ({architecture}-quickgelu if trained from OpenAI's weights)" if clip else ""
        return f"the weights of a model of open_clip; name open-clip:{architecture}/{path}{quick}"
    first = ", ".join(list(tensors)[:3])
    return f"whose weights are not those of a CLIP: they begin with {first}"
