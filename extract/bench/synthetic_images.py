"""Folders of synthetic JPEG files that cost as much to store and decode as photographs."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

# Smooth noise at several scales: cells across the image, and amplitude.
OCTAVES = ((3, 60.0), (9, 40.0), (27, 22.0), (81, 10.0))
GRAIN = 3.0
JPEG_QUALITY = 90
# The other files are hard links to these; file systems limit the links per file to some 10,000.
NUM_DISTINCT = 64


def save_images(root: Path, size: tuple[int, int], num_images: int) -> Path:
    """Save JPEG images and a metadata.csv with two classes in a folder; return the folder.

    Only the first NUM_DISTINCT images differ; the others are hard links to them. All are in the
    training split, and the classes `cat` and `dog` alternate.

    Args:
        root: the folder, which must not exist.
        size: width and height in pixels.
        num_images: number of images.
    """
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"{row:07}.jpg" for row in range(num_images)]
    for row, name in enumerate(names):
        if row < NUM_DISTINCT:
            draw_image(rng, size).save(root / name, quality=JPEG_QUALITY)
        else:
            os.link(root / names[row % NUM_DISTINCT], root / name)
    lines = [f"{name},{('cat', 'dog')[row % 2]},train" for row, name in enumerate(names)]
    (root / "metadata.csv").write_text("\n".join(["filename,label,split", *lines, ""]))
    return root


def draw_image(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Draw an RGB image of smooth noise at several scales, with grain.

    Args:
        rng: random numbers.
        size: width and height in pixels.
    """
    width, height = size
    pixels = 127 + GRAIN * rng.standard_normal((height, width, 3))
    for cells, amplitude in OCTAVES:
        coarse = (127 + amplitude * rng.standard_normal((cells, cells, 3))).clip(0, 255)
        layer = Image.fromarray(coarse.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        pixels += np.asarray(layer, np.float64) - 127
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
