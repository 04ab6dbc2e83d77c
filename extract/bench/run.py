"""The whole benchmark of extraction."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from clip_cfr.extract.bench.baseline import TransformersLoop
from clip_cfr.extract.bench.kills import CHUNK, lost_rows
from clip_cfr.extract.bench.processes import NO_PROC, PROC
from clip_cfr.extract.bench.random_clip import save_random_clip
from clip_cfr.extract.bench.scaling import cost, growth
from clip_cfr.extract.bench.sizes import Sizes, Tower
from clip_cfr.extract.bench.synthetic_images import save_pictures
from clip_cfr.extract.bench.table import FIGURES
from clip_cfr.extract.bench.throughput import Rates, average, efficiency, load_pictures
from clip_cfr.extract.encoders.load import load_encoder
from clip_cfr.extract.encoders.spec import EncoderSpec
from clip_cfr.extract.engines.batch_size import fitting_batch_size

Tell = Callable[[str], None]

# The first is the one that most figures are about.
FILES = {"224x224": (224, 224), "178x218": (178, 218), "1024x768": (1024, 768)}
MAIN = next(iter(FILES))
NO_GPU = "torch finds no CUDA device here"
NO_CLIP_RETRIEVAL = (
    "clip-retrieval 2.45 needs numpy below 2 and transformers below 5, and so cannot be installed "
    "beside this; in an environment of its own it was not brought to run"
)
FLOAT32 = "this CPU has no bfloat16 in hardware: float32 against float32"


def bench_extract(words: Sequence[str], sizes: Sizes, repeats: int, tell: Tell) -> dict[str, Any]:
    """All figures by name; None for what cannot be measured here, and the reason why.

    Args:
        words: what starts the command line.
        repeats: turns that the means are over.
        tell: hears what is measured next.

    Raises:
        ExtractError: a command failed.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        tell("how cost grows: " + ", ".join(f"{n:,}" for n in sizes.scale) + " images")
        costs = [cost(words, folder, num_images) for num_images in sizes.scale]
        tell(f"what {sizes.kills} kills cost")
        kept = save_pictures(folder / "kept", FILES[MAIN], sizes.kept_images)
        found = {
            "scale": costs,
            "memory_ratio": growth(costs) if PROC.is_dir() else None,
            "resume_lost_rows": lost_rows(kept, folder, sizes.kills),
            "resume_chunk_rows": CHUNK,
        }
        tell(f"encoder, pipeline and the transformers loop, in {repeats} turns")
        found |= cpu_figures(sizes, folder, repeats)
        tell("the GPU")
        found |= gpu_figures(sizes, folder, repeats)
    result = {**dict.fromkeys(FIGURES), **found, "repeats": repeats, "images": sizes.images}
    missing = {name: why_missing(name, found) for name in FIGURES if result[name] is None}
    del result["objection"]
    return result | {"not_measured": missing}


def cpu_figures(sizes: Sizes, folder: Path, repeats: int) -> dict[str, Any]:
    """Rates of the encoder, of extractions and of the loop over transformers, in turns."""
    model = save_random_clip(folder / "model", sizes.tower)
    roots = {name: save_pictures(folder / name, size, sizes.images) for name, size in FILES.items()}
    manifests = {name: load_pictures(root) for name, root in roots.items()}
    rates = rates_of(model, "cpu", manifests, folder / "rates.h5")
    loop = TransformersLoop(model, roots[MAIN], folder / "loop.npy")
    rates.end_to_end(manifests[MAIN])  # Starts what stays: the server of workers.
    objection = loop.objection(rates.out)
    turns = []
    for _ in range(repeats):
        turns.append(rates.measure())
        if objection is None:
            turns[-1]["loop"] = loop.rate()
    dtype = rates.encoder.provenance()["compute_dtype"]
    found = {
        "encoder_images_per_second": average(turns, f"encoder {MAIN}"),
        "images_per_second": average(turns, MAIN),
        "pipeline_efficiency": efficiency(turns, MAIN),
        "device": rates.encoder.provenance()["device"],
        "compute_dtype": dtype,
        "batch_size": rates.batch_size,
        "workers": rates.workers,
        "objection": objection,
        "notes": {"speedup_vs_transformers_loop": FLOAT32} if dtype == "float32" else {},
    }
    found |= {f"pipeline_efficiency_{name}": efficiency(turns, name) for name in FILES}
    del found[f"pipeline_efficiency_{MAIN}"]
    if objection is None:
        theirs = average(turns, "loop")
        found["transformers_loop_images_per_second"] = theirs
        found["speedup_vs_transformers_loop"] = found["images_per_second"] / theirs
    return found


def gpu_figures(sizes: Sizes, folder: Path, repeats: int) -> dict[str, float]:
    """Rates of each tower on a GPU, alone and from files."""
    if not torch.cuda.is_available():
        return {}
    root = save_pictures(folder / "gpu", FILES[MAIN], sizes.gpu_images)
    return {
        f"{prefix}_{figure}": value
        for prefix, tower in sizes.gpu_towers.items()
        for figure, value in figures_of_tower(tower, root, folder / prefix, repeats).items()
    }


def figures_of_tower(tower: Tower, root: Path, folder: Path, repeats: int) -> dict[str, float]:
    """Rates of a tower on a GPU."""
    model = save_random_clip(folder / "model", tower)
    rates = rates_of(model, "cuda", {MAIN: load_pictures(root)}, folder / "rates.h5")
    rates.end_to_end(rates.manifests[MAIN])
    turns = [rates.measure() for _ in range(repeats)]
    return {
        "encoder_images_per_second": average(turns, f"encoder {MAIN}"),
        "images_per_second": average(turns, MAIN),
        "pipeline_efficiency": efficiency(turns, MAIN),
    }


def rates_of(model: Path, device: str, manifests: dict, out: Path) -> Rates:
    """A model on a device, in batches that fit."""
    encoder = load_encoder(EncoderSpec(str(model), device=device))
    return Rates(encoder, fitting_batch_size(encoder), manifests, out)


def why_missing(name: str, found: dict[str, Any]) -> str:
    """Why a figure is missing."""
    if name.startswith("gpu_"):
        return NO_GPU
    if name == "speedup_vs_clip_retrieval":
        return NO_CLIP_RETRIEVAL
    return NO_PROC if name == "memory_ratio" else found["objection"]
