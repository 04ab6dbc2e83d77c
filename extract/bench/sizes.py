"""How much the benchmark measures."""

from dataclasses import dataclass
from typing import Any

Tower = dict[str, Any]

VIT_B32: Tower = {
    "image_size": 224,
    "patch_size": 32,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 512,
}
VIT_L14_336: Tower = {
    "image_size": 336,
    "patch_size": 14,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "projection_dim": 768,
}
TINY: Tower = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 16,
}


@dataclass(frozen=True)
class Sizes:
    """Images and models of everything that is measured.

    Attributes:
        images: of each size of file that rates are measured on.
        tower: the image tower that they go through on a CPU.
        gpu_images, gpu_towers: the same on a GPU; the towers by what their figures begin with.
        kills: how often an extraction is killed.
        kept_images: of the extraction that is killed.
        scale: the numbers of images that time, memory and file are measured at, from few to many.
    """

    images: int
    tower: Tower
    gpu_images: int
    gpu_towers: dict[str, Tower]
    kills: int
    kept_images: int
    scale: tuple[int, ...]


FULL = Sizes(
    images=128,
    tower=VIT_B32,
    gpu_images=16_384,
    gpu_towers={"gpu": VIT_L14_336, "gpu_b32": VIT_B32},
    kills=4,
    kept_images=3000,
    scale=(1000, 10_000, 100_000),
)
# Every path of the code, and figures that say nothing.
QUICK = Sizes(
    images=8,
    tower=TINY,
    gpu_images=64,
    gpu_towers={"gpu": TINY, "gpu_b32": TINY},
    kills=1,
    kept_images=400,
    scale=(20, 40),
)
