"""The figures of the benchmark, for people."""

from typing import Any

# Each figure: its name, what it is, its unit, and how many decimals say something.
ROWS = (
    ("gemm_gflops", "this machine's matrix product, float32", "GFLOP/s", 0),
    ("erm_step_seconds", "a step of ERM, of the whole stage", "ms", 2),
    ("cfr_step_seconds", "a step of CFR, of the whole stage", "ms", 2),
    ("cfr_loop_step_seconds", "a step of CFR, of its compiled loop alone", "ms", 2),
    ("gemm_fraction", "rate of CFR's compiled loop over that of the matrix product", "", 2),
    ("gemm_fraction_stage", "rate of its whole stage over that of the matrix product", "", 2),
    ("validation_fraction", "time of evaluations over time of steps, at 1 in 40", "", 3),
    ("pytorch_loop_step_seconds", "a step of the PyTorch loop with a DataLoader", "ms", 1),
    ("speedup_vs_pytorch_loop", "times as fast as it: CFR's compiled loop", "", 1),
    ("pytorch_vectorised_step_seconds", "a step of the vectorised PyTorch loop", "ms", 1),
    ("speedup_vs_pytorch_vectorised", "times as fast as it: CFR's compiled loop", "", 2),
    ("calibrate_seconds", "calibrate with default settings, end to end", "s", 1),
    ("startup_seconds", "of these, importing and compiling", "s", 2),
    ("startup_import_seconds", "  importing, and setting JAX up", "s", 2),
    ("startup_compile_seconds", "  compiling, or reading what was compiled before", "s", 2),
    ("calibrate_rss_mb", "its peak memory", "MB", 0),
    ("celeba_cache_mb", "a cache of CelebA's size", "MB", 0),
    ("celeba_rss_mb", "peak memory of calibrate on it", "MB", 0),
    ("grid_point_seconds", "a point of a grid", "s", 3),
    ("grid_point_ratio", "time of a point over that of the CFR stage alone", "", 2),
    ("gpu_grid_ratio", "time of a grid of 64 points over that of one, on a GPU", "", 2),
)
FIGURES = tuple(name for name, *_ in ROWS)


def title(result: dict[str, Any]) -> str:
    """What the figures are about."""
    return "training with {} rows, {} of validation, {} of test; ".format(*result["rows"]) + (
        f"medians of {result['repeats']} turns"
    )
