"""Time grids with the functions that the command `grid` uses."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median

import jax
import numpy as np

from clip_cfr.calibrate.bench.timing import time_call
from clip_cfr.calibrate.bench.training import TrainingBenchmark
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.grid.axes import Choices
from clip_cfr.calibrate.grid.execution import fit_plan
from clip_cfr.calibrate.grid.grid_plan import GridPlan
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.storage import url_of_file
from clip_cfr.calibrate.grid.study import DEFAULT_NAME
from clip_cfr.calibrate.methods import fit

GPU_POINTS = 64
NO_GPU = "there is no GPU here; on a CPU the points of a grid are fitted one after the other"


def measure_grid(benchmark: TrainingBenchmark, folder: Path) -> dict[str, float]:
    """Return the seconds per point of a grid, and their ratio to those of one CFR stage.

    The keys are `grid_point_seconds` and `grid_point_ratio`. The time of the grid includes the
    shared identification stage, predictions, metrics and the database.

    Args:
        folder: folder for the database.
    """
    experiment = benchmark.make_experiment()
    fit("cfr", experiment)  # Trains the shared stage and compiles, so that neither is timed below.
    before = time_cfr_stage(experiment)
    points = benchmark.sizes.grid_points
    point = time_grid(benchmark, points, folder) / points
    after = time_cfr_stage(experiment)
    return {"grid_point_seconds": point, "grid_point_ratio": point / median(before + after)}


def measure_gpu_grid(benchmark: TrainingBenchmark, folder: Path) -> dict[str, float]:
    """Return the time of a grid of 64 points divided by that of one point; empty on a CPU.

    The key is `gpu_grid_ratio`. Each grid runs twice. The second run is timed, in which all
    programs are compiled already.

    Args:
        folder: folder for the database.
    """
    if jax.default_backend() == "cpu":
        return {}
    one, many = (
        [time_grid(benchmark, points, folder) for _ in range(2)][1] for points in (1, GPU_POINTS)
    )
    return {"gpu_grid_ratio": many / one}


def time_cfr_stage(experiment: Experiment) -> list[float]:
    """Return the seconds of each of two runs of the CFR stage."""
    return [time_call(lambda: fit("cfr", experiment).history["loss"]) for _ in range(2)]


def time_grid(benchmark: TrainingBenchmark, points: int, folder: Path) -> float:
    """Return the seconds of a grid over `points` learning rates.

    The rates are evenly spaced in logarithm from 1e-4 to 1e-2; a single one is 1e-4. The database
    is `study.db` in the folder, replaced if there is one.
    """
    rates = tuple(float(rate) for rate in np.geomspace(1e-4, 1e-2, points))
    plan = Plan("0" * 64, {"lr": Choices(rates)}, benchmark.settings, seeds=(0,))
    study = folder / "study.db"
    study.unlink(missing_ok=True)
    arguments = (GridPlan((plan,)), url_of_file(study), DEFAULT_NAME)
    load = partial(nullcontext, benchmark.prepared)
    return time_call(lambda: fit_plan(*arguments, load=load, workers=1))
