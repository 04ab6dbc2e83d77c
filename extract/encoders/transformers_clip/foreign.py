"""Explain folders without a complete CLIP of transformers, and name the remedy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clip_cfr.cache.format.nested import load_json
from clip_cfr.extract.encoders.checkpoints.published import find_by_sizes
from clip_cfr.extract.encoders.checkpoints.read import python_command
from clip_cfr.extract.encoders.hub_errors import NAME_ANOTHER

# Files that identify the contents of a folder, the most specific first.
MARKS = (
    ("model_index.json", "a pipeline of diffusers, whose towers are parts of an image generator"),
    ("zero_to_fp32.py", "a checkpoint of DeepSpeed: run its zero_to_fp32.py and save the model"),
    ("tf_model.h5", "weights of TensorFlow only: take the model's PyTorch weights"),
    ("flax_model.msgpack", "weights of Flax only: take the model's PyTorch weights"),
    ("saved_model.pb", "weights of TensorFlow only: take the model's PyTorch weights"),
    ("*.onnx", "weights of ONNX only: take the model's PyTorch weights"),
    ("*.gguf", "weights of llama.cpp only: take the model's PyTorch weights"),
)
# Model types of one tower, with the other, its class, and the parts that a CLIP takes from it.
TOWERS = {
    "clip_vision_model": ("image", "text", "CLIPVision", ("vision_model", "visual_projection")),
    "clip_text_model": ("text", "image", "CLIPText", ("text_model", "text_projection")),
}
NOT_LINEAR = "whose image head is one linear map; {} with the command import"
IMPORT = "embeddings computed elsewhere can be imported"


def explain_folder(folder: Path) -> str:
    """Describe a folder without a configuration, with the remedy; begins with a verb.

    It names PEFT adapters, the files in `MARKS`, models of open_clip, empty folders, and weights
    without config.json, in this order.
    """
    if (folder / "adapter_config.json").is_file():
        return explain_adapter(folder)
    for pattern, description in MARKS:
        if any(folder.glob(pattern)):
            return f"is {description}" if "weights" not in description else f"has {description}"
    if (folder / "open_clip_config.json").is_file():
        return f"is a model of open_clip; write open-clip:{folder}"
    if not any(folder.iterdir()):
        return f"is an empty folder; {NAME_ANOTHER}"
    if weights := list_weights(folder):
        return (
            f"has weights, {weights[0].name}, but no config.json in {folder}; copy config.json, "
            "preprocessor_config.json and the tokenizer of the model that it was trained from "
            "into the folder"
        )
    return f"has no config.json in {folder}; {NAME_ANOTHER}"


def list_weights(folder: Path) -> list[Path]:
    """Return the files of a folder whose names end as those of weights, also broken links.

    They have the order safetensors, bin, pt, pth, ckpt, each sorted.
    """
    patterns = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt")
    return [path for pattern in patterns for path in sorted(folder.glob(pattern))]


def explain_adapter(folder: Path) -> str:
    """Describe a folder of PEFT, with the command that merges it into its base model.

    The text begins with a verb. `BASE_MODEL` stands for a base model that the adapter does not
    name, or if its adapter_config.json is not valid.

    Args:
        folder: a folder with an adapter_config.json.
    """
    try:
        adapter = load_json((folder / "adapter_config.json").read_text(encoding="utf-8"))
        kind, base = adapter.get("peft_type", "LORA"), adapter.get("base_model_name_or_path")
    except (ValueError, AttributeError):
        kind, base = "LORA", None
    base, merged = base or "BASE_MODEL", f"{folder.resolve()}-merged"
    program = (
        "from peft import PeftModel; from transformers import CLIPModel, CLIPProcessor; "
        f"m = PeftModel.from_pretrained(CLIPModel.from_pretrained({base!r}), {str(folder)!r}); "
        f"m.merge_and_unload().save_pretrained({merged!r}); "
        f"CLIPProcessor.from_pretrained({base!r}).save_pretrained({merged!r})"
    )
    return (
        f"is an adapter of PEFT ({kind}) of {base}, not a whole model; merge them (pip install "
        f"peft) with {python_command(program)} and name {merged}"
    )


def explain_lora(path: Path) -> str:
    """Explain that a weights file has LoRA updates, and what to do; begins with a verb."""
    return (
        f"has LoRA updates in {path} that are not merged into its weights; save it after "
        "merge_and_unload() of PEFT"
    )


def explain_type(folder: Path, configuration: dict[str, Any], supported: Sequence[str]) -> str:
    """Explain that a configuration has an unsupported model type, and what to do.

    The text begins with a verb.

    Args:
        folder: the folder of the configuration.
        configuration: the content of config.json.
        supported: the model types that are supported.
    """
    found = configuration.get("model_type")
    if found in TOWERS:
        return explain_tower(folder, configuration)
    expected = f"expected one of {', '.join(supported)}, {NOT_LINEAR.format(IMPORT)}"
    if found is None:
        return f"has a config.json without model_type, so not one of transformers; {expected}"
    return f"is of type {found!r}; {expected}"


def explain_tower(folder: Path, configuration: dict[str, Any]) -> str:
    """Describe a folder of a single tower, with the command that adds the other tower.

    The text begins with a verb. `BASE_MODEL` stands for a base model that is not known: no
    published CLIP has the sizes of the configuration.

    Args:
        folder: the folder of the tower.
        configuration: its configuration; `model_type` is a key of `TOWERS`.
    """
    tower, other, name, (body, projection) = TOWERS[configuration["model_type"]]
    with_projection = "WithProjection" in str(configuration.get("architectures"))
    base, joined = find_base_hub_id(configuration), f"{folder.resolve()}-joined"
    name, parts = (f"{name}Model", [body])
    if with_projection:
        name, parts = f"{name}WithProjection", [body, projection]
    assignments = "; ".join(f"m.{part} = getattr(t, {part!r}, t)" for part in parts)
    program = (
        f"from transformers import CLIPModel, CLIPProcessor, {name}; "
        f"m = CLIPModel.from_pretrained({base!r}); t = {name}.from_pretrained({str(folder)!r}); "
        f"{assignments}; m.save_pretrained({joined!r}); "
        f"CLIPProcessor.from_pretrained({base!r}).save_pretrained({joined!r})"
    )
    return (
        f"holds only the {tower} tower of a CLIP; add the {other} tower that it was trained with, "
        f"with {python_command(program)}, and name {joined}"
    )


def find_base_hub_id(configuration: dict[str, Any]) -> str:
    """Return the hub id of the published CLIP of a configuration's sizes, else `BASE_MODEL`."""
    tower = configuration.get("vision_config") or configuration
    sizes = [tower.get(name) for name in ("hidden_size", "patch_size", "image_size")]
    clip = find_by_sizes(*sizes)
    return clip.hub_id if clip else "BASE_MODEL"


def processor_command(folder: Path, configuration: dict[str, Any]) -> str:
    """Return the shell command that saves the base model's image processor and tokenizer.

    It names `BASE_MODEL` if no published CLIP has the sizes of the configuration.

    Args:
        folder: folder to save them in.
        configuration: the model's configuration, whose sizes tell the base model.
    """
    base = find_base_hub_id(configuration)
    return python_command(
        f"from transformers import CLIPProcessor; CLIPProcessor.from_pretrained({base!r})"
        f".save_pretrained({str(folder)!r})"
    )


def format_folders(folders: Sequence[Path]) -> str:
    """Return up to five paths as text, such as `a, b`, with ` and 2 more` if there are more."""
    names = [str(folder) for folder in folders]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
