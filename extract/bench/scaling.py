"""How cost grows with the number of images: time, memory and file of the command."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clip_cfr.extract.bench.processes import MEGA, run
from clip_cfr.extract.bench.random_clip import TINY_CLIP
from clip_cfr.extract.bench.synthetic_images import save_pictures

Cost = dict[str, Any]
SMALL = (64, 64)


def cost(words: Sequence[str], folder: Path, num_images: int) -> Cost:
    """What an extraction of so many small images through the tiny CLIP takes.

    One worker decodes, whatever the number: its memory is no part of the growth.
    """
    root = save_pictures(folder / f"scale-{num_images}", SMALL, num_images)
    out = folder / f"scale-{num_images}.h5"
    options = f"--dataset folder --root {root} --out {out} --model {TINY_CLIP} --device cpu"
    done = run([*words, "extract", *options.split(), "--workers", "1", "--json"])
    found = {
        "images": num_images,
        "seconds": done.seconds,
        "images_per_second": done.printed["images_per_second"],
        "memory_mb": done.memory_mb,
        "all_memory_mb": done.all_memory_mb,
        "file_mb": out.stat().st_size / MEGA,
    }
    out.unlink()
    return found


def growth(costs: Sequence[Cost]) -> float:
    """Peak memory of the largest extraction over that of the smallest."""
    return costs[-1]["memory_mb"] / costs[0]["memory_mb"]
