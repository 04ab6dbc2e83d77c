"""The figures of the benchmark, and how cost grows, for people."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

# Each figure: its name, what it is, its unit, and how many decimals say something.
ROWS = (
    ("encoder_images_per_second", "ViT-B/32 alone, on pixels in memory", "images/s", 1),
    ("images_per_second", "from 224x224 files to the cache", "images/s", 1),
    ("pipeline_efficiency", "of the encoder's rate, from 224x224 files", "", 3),
    ("pipeline_efficiency_178x218", "from 178x218 files", "", 3),
    ("pipeline_efficiency_1024x768", "from 1,024x768 files", "", 3),
    ("transformers_loop_images_per_second", "a loop over transformers in float32", "images/s", 1),
    ("speedup_vs_transformers_loop", "times as fast as it, from 224x224 files", "", 2),
    ("speedup_vs_clip_retrieval", "times as fast as clip-retrieval's inference", "", 2),
    ("gpu_encoder_images_per_second", "ViT-L/14@336 alone on a GPU", "images/s", 0),
    ("gpu_images_per_second", "from 224x224 files to the cache, on a GPU", "images/s", 0),
    ("gpu_pipeline_efficiency", "of the encoder's rate", "", 3),
    ("gpu_b32_encoder_images_per_second", "ViT-B/32 alone on a GPU", "images/s", 0),
    ("gpu_b32_images_per_second", "from 224x224 files to the cache, on a GPU", "images/s", 0),
    ("gpu_b32_pipeline_efficiency", "of the encoder's rate: the rest is decoding", "", 3),
    ("resume_lost_rows", "rows encoded twice after a kill, at most", "rows", 0),
    ("resume_chunk_rows", "rows of a batch there", "rows", 0),
    ("memory_ratio", "peak memory of the most images below over that of the fewest", "", 3),
)
FIGURES = tuple(name for name, *_ in ROWS)
COSTS = (
    ("images", "images", 0),
    ("seconds", "s", 1),
    ("images_per_second", "images/s", 0),
    ("memory_mb", "peak MB", 0),
    ("all_memory_mb", "with its workers", 0),
    ("file_mb", "file, MB", 2),
)


def title(result: dict[str, Any]) -> str:
    """What the figures are about."""
    return (
        f"extraction in {result['compute_dtype']} on {result['device']}, {result['images']} images "
        f"a turn in batches of {result['batch_size']}; means of {result['repeats']} turns"
    )


def render_scale(result: dict[str, Any]) -> Table:
    """How cost grows."""
    table = Table(box=SIMPLE_HEAD, title="the extract command, through the tiny CLIP")
    for _, heading, _ in COSTS:
        table.add_column(heading, justify="right")
    for cost in result["scale"]:
        table.add_row(*(f"{cost[name]:,.{decimals}f}" for name, _, decimals in COSTS))
    return table
