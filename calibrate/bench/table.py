"""The figures of the benchmark as rows of a table."""

from typing import Any

# Each figure: name, meaning, unit and number of decimals.
ROWS = (
    ("gemm_gflops", "this machine's matrix product, float32", "GFLOP/s", 0),
    ("bfloat16_gemm_gflops", "the same with bfloat16 operands", "GFLOP/s", 0),
    ("erm_step_seconds", "ERM step, in the whole stage", "ms", 2),
    ("cfr_step_seconds", "CFR step, in the whole stage", "ms", 2),
    ("cfr_loop_step_seconds", "CFR step, in the compiled loop alone", "ms", 2),
    ("minibatch_loop_step_ratio", "its time with --negative-pool minibatch over that", "", 2),
    ("bfloat16_loop_step_ratio", "its time with --precision bfloat16 over that", "", 2),
    ("bfloat16_minibatch_loop_step_ratio", "its time with both options over that", "", 2),
    ("gemm_fraction", "rate of CFR's compiled loop over that of the matrix product", "", 2),
    ("bfloat16_gemm_fraction", "the same, both with bfloat16 operands", "", 2),
    ("gemm_fraction_stage", "rate of the whole CFR stage over that of the matrix product", "", 2),
    ("validation_fraction", "time of evaluations over time of steps, 1 in 40 steps", "", 3),
    ("pytorch_loop_step_seconds", "step of the PyTorch loop with a DataLoader", "ms", 1),
    ("speedup_vs_pytorch_loop", "speed-up of CFR's compiled loop over that loop", "", 1),
    ("pytorch_vectorised_step_seconds", "step of the vectorized PyTorch loop", "ms", 1),
    ("speedup_vs_pytorch_vectorised", "speed-up of CFR's compiled loop over that loop", "", 2),
    ("calibrate_seconds", "calibrate with default settings, end to end", "s", 1),
    ("small_calibrate_seconds", "the same on 657 training rows, three seeds", "s", 1),
    ("startup_seconds", "importing and compiling, within these", "s", 2),
    ("startup_import_seconds", "  importing, and setting up JAX", "s", 2),
    ("startup_compile_seconds", "  compiling, or reading compiled programs", "s", 2),
    ("calibrate_rss_mb", "peak memory of that run", "MB", 0),
    ("celeba_cache_mb", "size of a cache with the rows of CelebA", "MB", 0),
    ("celeba_rss_mb", "peak memory of calibrate on that cache", "MB", 0),
    ("grid_points_per_minute", "points of grid per minute, default settings", "", 1),
    ("small_grid_points_per_minute", "the same on 657 training rows", "", 1),
    ("grid_point_seconds", "point of a grid", "s", 3),
    ("grid_point_ratio", "time of a grid point over that of one CFR stage", "", 2),
    ("gpu_grid_ratio", "time of a grid of 64 points over that of 1 point, on a GPU", "", 2),
)
FIGURES = tuple(name for name, *_ in ROWS)


def title(result: dict[str, Any]) -> str:
    """Return the title of the table for a result of `bench_train`.

    "training with 4795 rows, 1199 of validation, 5794 of test; medians of 5 repeats".
    """
    return "training with {} rows, {} of validation, {} of test; ".format(*result["rows"]) + (
        f"medians of {result['repeats']} repeats"
    )
