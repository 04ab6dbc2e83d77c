"""Recognize a model by the names of its weights, and remove prefixes of wrappers."""

from collections.abc import Collection

from clip_cfr.extract.encoders.checkpoints.read import Tensors
from clip_cfr.extract.errors import ExtractError

# Names that each kind of model has once: an image tower of transformers, one of open_clip or
# OpenAI, and the logit scale of both.
TRANSFORMERS_ANCHORS = (
    "vision_model.embeddings.patch_embedding.weight",
    "text_model.embeddings.token_embedding.weight",
)
OPEN_CLIP_ANCHORS = (
    "visual.conv1.weight",
    "visual.trunk.patch_embed.proj.weight",
    "visual.trunk.stem.0.weight",
    "token_embedding.weight",
)
LORA_MARKS = (".lora_A.", ".lora_B.", ".lora_magnitude_vector")


def strip_prefix(model: str, tensors: Tensors, anchors: Collection[str]) -> Tensors:
    """Return tensors without the prefix that DDP (`module.`), torch.compile or a wrapper adds.

    The first anchor that occurs tells the prefix. Tensors outside the prefix are parts of something
    else, such as a classifier, and left out. Without a prefix, or without any anchor, the tensors
    are returned unchanged.

    Args:
        model: the model's name, for messages.
        tensors: tensors by name.
        anchors: names without prefix, one of which the model has.

    Raises:
        ExtractError: the anchor occurs with several prefixes: there are several models in the file.
    """
    prefixes = next((found for a in anchors if (found := find_prefixes(tensors, a))), [""])
    if "" in prefixes:
        return tensors
    if len(prefixes) > 1:
        names = " and ".join(repr(prefix) for prefix in prefixes)
        raise ExtractError(
            f"model {model}: its weights file holds several models, with names that begin with "
            f"{names}; save the state_dict of one of them alone"
        )
    [prefix] = prefixes
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def find_prefixes(names: Collection[str], anchor: str) -> list[str]:
    """Return the prefixes of an anchor among names, sorted: `""`, or text that ends in a dot."""
    found = {name.removesuffix(anchor) for name in names if name.endswith(anchor)}
    return sorted(prefix for prefix in found if not prefix or prefix.endswith("."))


def has_anchor(names: Collection[str], anchors: Collection[str]) -> bool:
    """Return whether a name is one of the anchors, or ends in a dot and one of the anchors."""
    return any(find_prefixes(names, anchor) for anchor in anchors)


def has_lora(names: Collection[str]) -> bool:
    """Return whether some weights are LoRA updates that are not merged into the others."""
    return any(mark in name for name in names for mark in LORA_MARKS)
