"""Run the benchmark of extraction."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import torch

from clip_cfr.extract.bench.baseline import TransformersLoop
from clip_cfr.extract.bench.kills import BATCH_SIZE, count_lost_rows
from clip_cfr.extract.bench.processes import NO_PROC, PROC
from clip_cfr.extract.bench.random_clip import save_random_clip
from clip_cfr.extract.bench.scaling import measure_cost, memory_ratio
from clip_cfr.extract.bench.sizes import Sizes, Tower
from clip_cfr.extract.bench.synthetic_images import save_images
from clip_cfr.extract.bench.table import FIGURES
from clip_cfr.extract.bench.throughput import (
    Rates,
    Throughput,
    gemm_fraction,
    load_images,
    mean_rate,
    pipeline_efficiency,
)
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.engines.batch_size import choose_batch_size
from clip_cfr.extract.manifest.manifest import Manifest

# Width and height of each file size. Most figures are measured on the first.
FILE_SIZES = {"224x224": (224, 224), "178x218": (178, 218), "1024x768": (1024, 768)}
MAIN_SIZE = next(iter(FILE_SIZES))
NO_GPU = "torch finds no CUDA device here"
NO_CLIP_RETRIEVAL = (
    "clip-retrieval 2.45 needs numpy below 2 and transformers below 5, so it cannot be installed "
    "beside this package; we could not get it to run in an environment of its own"
)
FLOAT32_NOTE = "this CPU has no bfloat16 in hardware: float32 against float32"


def bench_extract(
    program: Sequence[str], sizes: Sizes, repeats: int, message: Callable[[str], None]
) -> dict[str, Any]:
    """Measure all figures.

    Args:
        program: words that start the command line.
        sizes: numbers of images and models.
        repeats: number of repeats to take means over.
        message: callback receiving the name of the next measurement.

    Returns:
        All figures by name. A figure that cannot be measured here is None, and `not_measured` has
        the reason.

    Raises:
        ExtractError: a command fails.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        numbers = ", ".join(f"{number:,}" for number in sizes.scale)
        message(f"time, memory and file size of {numbers} images")
        costs = [measure_cost(program, folder, num_images) for num_images in sizes.scale]
        message(f"rows lost to {sizes.kills} kills")
        to_kill = save_images(folder / "killed", FILE_SIZES[MAIN_SIZE], sizes.killed_images)
        lost_rows = count_lost_rows(to_kill, folder, sizes.kills)
        message(f"encoder, extraction and the transformers loop, {repeats} repeats")
        cpu_figures, objection = measure_cpu(sizes, folder, repeats)
        message("the GPU")
        gpu_figures = measure_gpu(sizes, folder, repeats)
    result = {
        **dict.fromkeys(FIGURES),
        "scale": costs,
        "memory_ratio": memory_ratio(costs) if PROC.is_dir() else None,
        "resume_lost_rows": lost_rows,
        "resume_chunk_rows": BATCH_SIZE,
        **cpu_figures,
        **gpu_figures,
        "repeats": repeats,
        "images": sizes.images,
    }
    missing = {name: explain_missing(name, objection) for name in FIGURES if result[name] is None}
    return result | {"not_measured": missing}


def measure_cpu(sizes: Sizes, folder: Path, repeats: int) -> tuple[dict[str, Any], str | None]:
    """Measure the encoder, extractions and the transformers loop on the CPU, interleaved.

    Args:
        sizes: numbers of images and models.
        folder: folder for model, images and cache.
        repeats: number of repeats to take means over.

    Returns:
        The figures, and why the loop cannot be compared, or None if it can.
    """
    model = save_random_clip(folder / "model", sizes.tower)
    roots = {
        name: save_images(folder / name, size, sizes.images) for name, size in FILE_SIZES.items()
    }
    manifests = {name: load_images(root) for name, root in roots.items()}
    throughput = make_throughput(model, "cpu", manifests, folder / "rates.h5")
    loop = TransformersLoop(model, roots[MAIN_SIZE], folder / "loop.npy")
    # Untimed: starts the server that worker processes are forked from.
    throughput.measure_extraction(manifests[MAIN_SIZE])
    objection = loop.find_objection(throughput.out)
    rates, loop_rates = [], []
    for _ in range(repeats):
        rates.append(throughput.measure())
        if objection is None:
            loop_rates.append(loop.measure_rate())
    provenance = throughput.encoder.provenance()
    is_float32 = provenance["compute_dtype"] == "float32"
    other_sizes = [name for name in FILE_SIZES if name != MAIN_SIZE]
    figures = {
        **main_figures(rates),
        **{f"pipeline_efficiency_{name}": pipeline_efficiency(rates, name) for name in other_sizes},
        **compare_rates(mean_rate(rates, MAIN_SIZE), loop_rates),
        "encoder_gemm_fraction": gemm_fraction(rates, throughput.count_flops()),
        "device": provenance["device"],
        "compute_dtype": provenance["compute_dtype"],
        "batch_size": throughput.batch_size,
        "workers": throughput.workers,
        "notes": {"speedup_vs_transformers_loop": FLOAT32_NOTE} if is_float32 else {},
    }
    return figures, objection


def compare_rates(rate: float, loop_rates: list[float]) -> dict[str, float]:
    """Return the mean rate of the transformers loop and the speed-up over it, by name.

    Empty if the loop did not run.

    Args:
        rate: rate of extractions, in images per second.
        loop_rates: rates of the loop in each repeat.
    """
    if not loop_rates:
        return {}
    loop_rate = mean(loop_rates)
    return {
        "transformers_loop_images_per_second": loop_rate,
        "speedup_vs_transformers_loop": rate / loop_rate,
    }


def measure_gpu(sizes: Sizes, folder: Path, repeats: int) -> dict[str, float]:
    """Measure the encoder and extractions of each tower on a GPU; empty without one.

    Returns:
        The figures by names with the tower's prefix, such as `gpu_b32_images_per_second`.
    """
    if not torch.cuda.is_available():
        return {}
    root = save_images(folder / "gpu", FILE_SIZES[MAIN_SIZE], sizes.gpu_images)
    return {
        f"{prefix}_{figure}": value
        for prefix, tower in sizes.gpu_towers.items()
        for figure, value in measure_gpu_tower(tower, root, folder / prefix, repeats).items()
    }


def measure_gpu_tower(tower: Tower, root: Path, folder: Path, repeats: int) -> dict[str, float]:
    """Return the figures of `main_figures` of a tower on a GPU.

    Args:
        tower: the image tower.
        root: folder of images.
        folder: folder for model and cache.
        repeats: number of repeats to take means over.
    """
    model = save_random_clip(folder / "model", tower)
    manifests = {MAIN_SIZE: load_images(root)}
    throughput = make_throughput(model, "cuda", manifests, folder / "rates.h5")
    throughput.measure_extraction(manifests[MAIN_SIZE])
    return main_figures([throughput.measure() for _ in range(repeats)])


def main_figures(rates: list[Rates]) -> dict[str, float]:
    """Return the mean rates of the main file size and of the encoder, and their ratio, by name."""
    return {
        "encoder_images_per_second": mean_rate(rates, f"encoder {MAIN_SIZE}"),
        "images_per_second": mean_rate(rates, MAIN_SIZE),
        "pipeline_efficiency": pipeline_efficiency(rates, MAIN_SIZE),
    }


def make_throughput(
    model: Path, device: str, manifests: dict[str, Manifest], out: Path
) -> Throughput:
    """Load a model on a device and choose its batch size, to measure rates.

    Args:
        model: folder of the model.
        device: `cpu` or `cuda`.
        manifests: images of each file size, by the size's name.
        out: cache file that each extraction replaces.
    """
    encoder = load_encoder(EncoderSpec(str(model), device=device))
    return Throughput(encoder, choose_batch_size(encoder), manifests, out)


def explain_missing(name: str, objection: str | None) -> str | None:
    """Return why a figure could not be measured; for one of the transformers loop, the objection.

    Args:
        name: name of the figure.
        objection: why the transformers loop cannot be compared.
    """
    if name.startswith("gpu_"):
        return NO_GPU
    if name == "speedup_vs_clip_retrieval":
        return NO_CLIP_RETRIEVAL
    return NO_PROC if name == "memory_ratio" else objection
