"""Time, memory and file size of the command extract for a growing number of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clip_cfr.extract.bench.processes import MEGA, run_command
from clip_cfr.extract.bench.random_clip import TINY_CLIP
from clip_cfr.extract.bench.synthetic_images import save_images

Cost = dict[str, Any]
IMAGE_SIZE = (64, 64)


def measure_cost(program: Sequence[str], folder: Path, num_images: int) -> Cost:
    """Measure the command extract on small images with the tiny CLIP on the CPU.

    One worker decodes, whatever the number of images, so that its memory does not add to the
    growth. The cache is deleted afterwards, the images are not.

    Args:
        program: words that start the command line.
        folder: folder for images and cache.
        num_images: number of images.

    Returns:
        The values of `table.COSTS`: number of images, seconds of the whole command, images per
        second, peak memory without and with workers, and size of the file, in units of 1e6 bytes.

    Raises:
        ExtractError: the command fails.
    """
    root = save_images(folder / f"scaling-{num_images}", IMAGE_SIZE, num_images)
    out = folder / f"scaling-{num_images}.h5"
    options = f"--dataset folder --root {root} --out {out} --model {TINY_CLIP} --device cpu"
    done = run_command([*program, "extract", *options.split(), "--workers", "1", "--json"])
    cost = {
        "images": num_images,
        "seconds": done.seconds,
        "images_per_second": done.output["images_per_second"],
        "memory_mb": done.memory_mb,
        "all_memory_mb": done.all_memory_mb,
        "file_mb": out.stat().st_size / MEGA,
    }
    out.unlink()
    return cost


def memory_ratio(costs: Sequence[Cost]) -> float:
    """Return the peak memory of the last extraction, divided by that of the first."""
    return costs[-1]["memory_mb"] / costs[0]["memory_mb"]
