"""The published CLIPs: their names in the libraries that people use, and their sizes."""

import re
from dataclasses import dataclass

import torch

from clip_cfr.extract.encoders.checkpoints.read import Tensors


@dataclass(frozen=True)
class PublishedClip:
    """A published CLIP.

    Attributes:
        architecture: the name of its architecture in open_clip, such as `ViT-B-32`.
        hub_id: the hub id of its transformers form; None if there is none.
        sizes: width of the image tower, patch size and image size, the last two in pixels; None for
            a ResNet.
        tag: the tag of its weights in open_clip.
    """

    architecture: str
    hub_id: str | None
    sizes: tuple[int, int, int] | None = None
    tag: str = "openai"

    @property
    def open_clip_name(self) -> str:
        """The name that selects it here, with open_clip, such as `open-clip:RN50/openai`."""
        return f"open-clip:{self.architecture}/{self.tag}"


PUBLISHED = (
    PublishedClip("ViT-B-32", "openai/clip-vit-base-patch32", (768, 32, 224)),
    PublishedClip("ViT-B-16", "openai/clip-vit-base-patch16", (768, 16, 224)),
    PublishedClip("ViT-L-14", "openai/clip-vit-large-patch14", (1024, 14, 224)),
    PublishedClip("ViT-L-14-336", "openai/clip-vit-large-patch14-336", (1024, 14, 336)),
    PublishedClip(
        "ViT-H-14", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", (1280, 14, 224), "laion2b_s32b_b79k"
    ),
    PublishedClip(
        "ViT-g-14", "laion/CLIP-ViT-g-14-laion2B-s12B-b42K", (1408, 14, 224), "laion2b_s12b_b42k"
    ),
    PublishedClip(
        "ViT-bigG-14",
        "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
        (1664, 14, 224),
        "laion2b_s39b_b160k",
    ),
    PublishedClip("RN50", None),
    PublishedClip("RN101", None),
    PublishedClip("RN50x4", None),
    PublishedClip("RN50x16", None),
    PublishedClip("RN50x64", None),
)


def find_published(name: str) -> PublishedClip | None:
    """Return the CLIP of a name in any library's spelling, such as `ViT-L/14@336px`, or None."""
    plain = normalize_name(name)
    return next((clip for clip in PUBLISHED if plain in spellings(clip)), None)


def spellings(clip: PublishedClip) -> set[str]:
    """Return the architecture and the hub id of a CLIP as `normalize_name` writes them."""
    hub_name = (clip.hub_id or clip.architecture).rpartition("/")[2]
    return {normalize_name(clip.architecture), normalize_name(hub_name)}


def normalize_name(name: str) -> str:
    """Return a name in lower case with letters and digits only, such as `vitl14336`.

    A leading `openai`, `huggingface` and `clip`, and trailing `px`, `quickgelu`, `openai` and `pt`
    are removed.
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    plain = re.sub(r"^(openai|huggingface)?(clip)?", "", plain)
    return re.sub(r"(px|quickgelu|openai|pt)+$", "", plain)


def find_by_sizes(width: int, patch: int, side: int) -> PublishedClip | None:
    """Return the CLIP whose image tower has these sizes; None if there is none."""
    return next((clip for clip in PUBLISHED if clip.sizes == (width, patch, side)), None)


def find_by_weights(tensors: Tensors) -> PublishedClip | None:
    """Return the published CLIP with the sizes of some weights, or None.

    The sizes are the shapes of the patch and position embeddings, under their names in open_clip or
    transformers.
    """
    conv = shape_of(tensors, "visual.conv1.weight", "embeddings.patch_embedding.weight")
    positions = shape_of(
        tensors, "visual.positional_embedding", "embeddings.position_embedding.weight"
    )
    if len(conv) != 4 or len(positions) != 2:
        return None
    side = round((positions[0] - 1) ** 0.5) * conv[-1]
    return find_by_sizes(conv[0], conv[-1], side)


def shape_of(tensors: Tensors, *endings: str) -> torch.Size:
    """Return the shape of the first tensor whose name has one of the endings; empty if none has.

    Names with `text` are skipped, because the endings are those of an image tower.
    """
    vision = (t for name, t in tensors.items() if name.endswith(endings) and "text" not in name)
    return next((tensor.shape for tensor in vision), torch.Size())
