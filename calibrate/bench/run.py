"""Run the benchmark of training."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clip_cfr.calibrate.bench.figures import pytorch_figures, training_figures
from clip_cfr.calibrate.bench.grids import NO_GPU, measure_gpu_grid, measure_grid
from clip_cfr.calibrate.bench.pytorch_loops import (
    CHECKED_STEPS,
    ComparableLoops,
    find_comparable_loops,
)
from clip_cfr.calibrate.bench.runs import (
    CommandLine,
    measure_celeba,
    measure_small,
    measure_waterbirds,
)
from clip_cfr.calibrate.bench.sizes import Sizes
from clip_cfr.calibrate.bench.table import FIGURES
from clip_cfr.calibrate.bench.timing import measure_interleaved
from clip_cfr.calibrate.bench.training import (
    TrainingBenchmark,
    compute_first_losses,
    make_benchmark,
    make_cfr_segment,
)
from clip_cfr.calibrate.runtime import jax_setup


def bench_train(
    program: Sequence[str], sizes: Sizes, repeats: int, message: Callable[[str], None]
) -> dict[str, Any]:
    """Measure all figures of the benchmark.

    Args:
        program: words that start the command line, before the name of a command.
        sizes: rows, widths and steps.
        repeats: number of repeats to take medians over.
        message: callback receiving the name of the next measurement.

    Returns:
        The figures by their names in `table.ROWS`, in that order, and `rows` (train, val, test),
        `steps`, `repeats` and `not_measured`. A figure that cannot be measured here is None, and
        the dictionary `not_measured` gives the reason by its name.

    Raises:
        CalibrationError: a command failed.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        command_line = CommandLine(program, folder)
        # The commands run before JAX starts in this process and reserves the memory of the GPU.
        message("calibrate, twice, and a grid")
        result = measure_waterbirds(command_line, sizes)
        message("three seeds of calibrate on a small cache, twice, and a grid")
        result |= measure_small(command_line, sizes)
        message("calibrate on a cache of the size of CelebA")
        result |= measure_celeba(command_line, sizes)
        jax_setup.start("auto")
        with jax_setup.fixed_numerics():
            benchmark = make_benchmark(sizes)
            message("whether the PyTorch loops compute the same losses")
            comparable = check_pytorch_loops(benchmark, folder)
            message(f"stages and loops, {repeats} repeats")
            result |= measure_training(benchmark, comparable, repeats)
            message("grids")
            result |= measure_grid(benchmark, folder) | measure_gpu_grid(benchmark, folder)
    missing = {f"speedup_vs_{name}": reason for name, reason in comparable.objections.items()}
    if "gpu_grid_ratio" not in result:
        missing["gpu_grid_ratio"] = NO_GPU
    about = {"rows": list(sizes.rows), "steps": sizes.steps, "repeats": repeats}
    return {**dict.fromkeys(FIGURES), **result, **about, "not_measured": missing}


def check_pytorch_loops(benchmark: TrainingBenchmark, folder: Path) -> ComparableLoops:
    """Find the PyTorch loops whose first losses, without dropout, are those of the compiled loop.

    Args:
        folder: folder for the input file of the loops.
    """
    experiment = benchmark.make_experiment()
    segment = make_cfr_segment(experiment)
    losses = compute_first_losses(experiment, segment, CHECKED_STEPS)
    return find_comparable_loops(benchmark.sizes, segment, losses, folder)


def measure_training(
    benchmark: TrainingBenchmark, comparable: ComparableLoops, repeats: int
) -> dict[str, float]:
    """Return the figures of the training stages and of the comparable PyTorch loops.

    See `training_figures` and `pytorch_figures`. One run before the repeats compiles.
    """
    benchmark.measure()  # Compiles.
    values = measure_interleaved([benchmark.measure, comparable.measure], repeats)
    names = [loop.name for loop in comparable.loops]
    return training_figures(benchmark.sizes, benchmark.settings, values) | pytorch_figures(
        names, values
    )
