"""Folders of JPEG files that are as large, and as dear to decode, as photographs."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

# Of the shapes and the grain of a photograph: cells across the picture, and how strong they are.
OCTAVES = ((3, 60.0), (9, 40.0), (27, 22.0), (81, 10.0))
GRAIN = 3.0
QUALITY = 90
# The others are hard links to these: a file system allows some ten thousands for each.
DISTINCT = 64


def save_pictures(root: Path, size: tuple[int, int], num_images: int) -> Path:
    """The folder, with images of a size and a metadata.csv of two classes in it."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"{row:07}.jpg" for row in range(num_images)]
    for row, name in enumerate(names):
        if row < DISTINCT:
            picture(rng, size).save(root / name, quality=QUALITY)
        else:
            os.link(root / names[row % DISTINCT], root / name)
    lines = [f"{name},{('cat', 'dog')[row % 2]},train" for row, name in enumerate(names)]
    (root / "metadata.csv").write_text("\n".join(["filename,label,split", *lines, ""]))
    return root


def picture(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Soft shapes of several sizes, and grain."""
    width, height = size
    pixels = 127 + GRAIN * rng.standard_normal((height, width, 3))
    for cells, strength in OCTAVES:
        coarse = (127 + strength * rng.standard_normal((cells, cells, 3))).clip(0, 255)
        layer = Image.fromarray(coarse.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        pixels += np.asarray(layer, np.float64) - 127
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
