"""Times grids through the machinery that the `grid` command uses."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median

import jax
import numpy as np

from clip_cfr.calibrate.bench.timing import seconds
from clip_cfr.calibrate.bench.training import Training
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


def grid_figures(training: Training, folder: Path) -> dict[str, float]:
    """Seconds of a point of a grid, over those of the CFR stage of one run with as many steps.

    The grid's seconds are all of its: the ERM stage that its points share, predictions, metrics,
    and the database.
    """
    experiment = training.experiment()
    fit("cfr", experiment)  # what its stage shares with others is there from now on
    before = stage_seconds(experiment)
    points = training.sizes.grid_points
    point = grid_seconds(training, points, folder) / points
    after = stage_seconds(experiment)
    return {"grid_point_seconds": point, "grid_point_ratio": point / median(before + after)}


def gpu_figures(training: Training, folder: Path) -> dict[str, float]:
    """Seconds of a grid of many points over those of one point, all programs compiled before."""
    if jax.default_backend() == "cpu":
        return {}
    one, many = (
        [grid_seconds(training, points, folder) for _ in range(2)][1] for points in (1, GPU_POINTS)
    )
    return {"gpu_grid_ratio": many / one}


def stage_seconds(experiment: Experiment) -> list[float]:
    """Seconds of the CFR stage, twice."""
    return [seconds(lambda: fit("cfr", experiment).history["loss"]) for _ in range(2)]


def grid_seconds(training: Training, points: int, folder: Path) -> float:
    """Seconds of a grid over so many learning rates."""
    rates = tuple(float(rate) for rate in np.geomspace(1e-4, 1e-2, points))
    plan = Plan("0" * 64, {"lr": Choices(rates)}, training.settings, seeds=(0,))
    study = folder / "study.db"
    study.unlink(missing_ok=True)
    arguments = (GridPlan((plan,)), url_of_file(study), DEFAULT_NAME)
    load = partial(nullcontext, training.prepared)
    return seconds(lambda: fit_plan(*arguments, load=load, workers=1))
