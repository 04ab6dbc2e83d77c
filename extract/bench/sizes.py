"""Sizes of the benchmark: numbers of images, and image towers."""

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
    """Numbers of images and models of the benchmark.

    Attributes:
        images: number of images of each file size, for the rates on a CPU.
        tower: image tower for the rates on a CPU.
        gpu_images: number of images for the rates on a GPU.
        gpu_towers: image towers for the rates on a GPU, by the prefix of their figures' names.
        kills: number of times that an extraction is killed.
        killed_images: number of images of that extraction.
        scale: numbers of images at which time, memory and file size are measured, ascending.
    """

    images: int
    tower: Tower
    gpu_images: int
    gpu_towers: dict[str, Tower]
    kills: int
    killed_images: int
    scale: tuple[int, ...]


FULL = Sizes(
    images=128,
    tower=VIT_B32,
    gpu_images=16_384,
    gpu_towers={"gpu": VIT_L14_336, "gpu_b32": VIT_B32},
    kills=4,
    killed_images=3000,
    scale=(1000, 10_000, 100_000),
)
# Runs all code; the figures mean nothing.
QUICK = Sizes(
    images=8,
    tower=TINY,
    gpu_images=64,
    gpu_towers={"gpu": TINY, "gpu_b32": TINY},
    kills=1,
    killed_images=400,
    scale=(20, 40),
)
