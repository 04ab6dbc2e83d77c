"""Render the figures of the benchmark as tables."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

# Each figure: name, meaning, unit and number of decimals.
ROWS = (
    ("encoder_images_per_second", "ViT-B/32 alone, on pixels in memory", "images/s", 1),
    ("encoder_gemm_fraction", "its FLOP/s over those of a product in its compute type", "", 2),
    ("images_per_second", "from 224x224 files to the cache", "images/s", 1),
    ("pipeline_efficiency", "share of the encoder's rate, from 224x224 files", "", 3),
    ("pipeline_efficiency_178x218", "the same, from 178x218 files", "", 3),
    ("pipeline_efficiency_1024x768", "the same, from 1,024x768 files", "", 3),
    ("transformers_loop_images_per_second", "a loop over transformers in float32", "images/s", 1),
    ("speedup_vs_transformers_loop", "speed-up over that loop, from 224x224 files", "", 2),
    ("speedup_vs_clip_retrieval", "speed-up over the inference of clip-retrieval", "", 2),
    ("gpu_encoder_images_per_second", "ViT-L/14@336 alone on a GPU", "images/s", 0),
    ("gpu_images_per_second", "from 224x224 files to the cache, on a GPU", "images/s", 0),
    ("gpu_pipeline_efficiency", "share of the encoder's rate", "", 3),
    ("gpu_b32_encoder_images_per_second", "ViT-B/32 alone on a GPU", "images/s", 0),
    ("gpu_b32_images_per_second", "from 224x224 files to the cache, on a GPU", "images/s", 0),
    ("gpu_b32_pipeline_efficiency", "share of the encoder's rate; decoding limits it", "", 3),
    ("resume_lost_rows", "rows encoded twice after a kill, maximum", "rows", 0),
    ("resume_chunk_rows", "rows per batch of that extraction", "rows", 0),
    ("memory_ratio", "peak memory, last row of the table below over the first", "", 3),
)
FIGURES = tuple(name for name, *_ in ROWS)
# Each column of the scaling table: key, heading and number of decimals.
COSTS = (
    ("images", "images", 0),
    ("seconds", "s", 1),
    ("images_per_second", "images/s", 0),
    ("memory_mb", "peak memory, MB", 0),
    ("all_memory_mb", "with workers, MB", 0),
    ("file_mb", "file, MB", 2),
)


def figures_title(result: dict[str, Any]) -> str:
    """Return the title of the table of figures, with compute type, device and numbers of images."""
    return (
        f"extraction in {result['compute_dtype']} on {result['device']}, {result['images']} images "
        f"per repeat in batches of {result['batch_size']}; means of {result['repeats']} repeats"
    )


def render_scaling(result: dict[str, Any]) -> Table:
    """Return a table of time (s), rate (images/s), memory and file size (MB) by number of images.

    Args:
        result: result of the benchmark; `scale` holds a dict with the keys of `COSTS` for each
            number of images.
    """
    table = Table(box=SIMPLE_HEAD, title="the command extract with the tiny CLIP")
    for _, heading, _ in COSTS:
        table.add_column(heading, justify="right")
    for cost in result["scale"]:
        table.add_row(*(f"{cost[name]:,.{decimals}f}" for name, _, decimals in COSTS))
    return table
