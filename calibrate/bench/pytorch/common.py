"""Functions that the PyTorch loops share: reading the stage, centroids, timing, command line.

A loop runs in a process of its own and prints a JSON object with the losses of its steps and the
seconds per step.
"""

import json
import os
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

WARM_UP_STEPS = 2
TRIAL_STEPS = 6

# Trains a stage with a dropout rate, and yields the loss of each step, a scalar tensor.
Loop = Callable[[SimpleNamespace, float], Iterator[Tensor]]


def read_stage(path: Path) -> SimpleNamespace:
    """Read the inputs of a stage from an .npz file, as float32 and int64 tensors and floats.

    `features` are scaled to a mean norm of 1. `anchors`, `training` and `pool` are the row indices
    of each step (steps, rows). `negatives` (steps, anchors, negatives) are indices into the pool of
    the step.
    """
    with np.load(path) as arrays:
        stage = {name: to_tensor(arrays[name]) for name in arrays.files}
    stage["features"] *= stage.pop("feature_scale")
    return SimpleNamespace(**stage)


def to_tensor(array: np.ndarray) -> Tensor | float:
    """Convert an array to an int64 or float32 tensor, and an array of shape () to a float."""
    if not array.ndim:
        return float(array)
    return torch.from_numpy(array.astype(np.int64 if array.dtype.kind == "i" else np.float32))


def update_centroids(
    centroids: Tensor, embeddings: Tensor, labels: Tensor, weights: Tensor, momentum: float
) -> Tensor:
    """Return the centroids after a step of their moving average; the arguments are unchanged.

    A class moves to `momentum * centroid + (1 - momentum) * mean`, scaled to unit length, where
    `mean` is the weighted mean of its rows. A class without weight keeps its centroid.

    Args:
        centroids: (classes, embedding), float32.
        embeddings: (rows, embedding), float32.
        labels: (rows,), int64.
        weights: (rows,), float32, at least 0.
        momentum: share of the old centroid, in [0, 1].

    Returns:
        (classes, embedding), float32.
    """
    members = torch.nn.functional.one_hot(labels, len(centroids)) * weights[:, None]
    mass = members.sum(dim=0)[:, None]
    means = members.T @ embeddings / torch.where(mass > 0, mass, 1)
    moved = momentum * centroids + (1 - momentum) * means
    return torch.where(mass > 0, torch.nn.functional.normalize(moved, dim=1), centroids)


def time_steps(losses: Iterator[Tensor], steps: int) -> dict[str, list[float] | float]:
    """Return the loss of each step, and the mean seconds per step after the warm-up.

    Args:
        losses: yields a loss after each step.
        steps: number of steps to take, above `WARM_UP_STEPS`.

    Returns:
        {"losses": [1.2, ...], "seconds": 0.01}.
    """
    values, times = [], []
    for loss in islice(losses, steps):
        values.append(loss.item())
        times.append(perf_counter())
    return {
        "losses": values,
        "seconds": (times[-1] - times[WARM_UP_STEPS - 1]) / (steps - WARM_UP_STEPS),
    }


def set_fastest_threads(loop: Loop, stage: SimpleNamespace) -> None:
    """Set torch's number of threads to the one with which `TRIAL_STEPS` steps are fastest.

    Tried are 1, and all, half and a quarter of the cores.
    """
    cores = os.cpu_count() or 1
    seconds = {}
    for count in {1, *(cores // divisor for divisor in (1, 2, 4) if cores // divisor)}:
        torch.set_num_threads(count)
        seconds[count] = time_steps(loop(stage, stage.dropout), TRIAL_STEPS)["seconds"]
    torch.set_num_threads(min(seconds, key=seconds.get))


def main(loop: Loop, description: str, *, tune_threads: bool = False) -> None:
    """Run a loop with the options of the command line, and print losses and time as JSON.

    The output is that of `time_steps`. Random numbers have seed 0.

    Args:
        loop: trains the stage.
        description: help text of the command line.
        tune_threads: whether to call `set_fastest_threads` before the loop is timed.
    """
    parser = ArgumentParser(description=description)
    parser.add_argument("stage", type=Path, help="an .npz file")
    parser.add_argument("--steps", type=int, required=True, help=f"above {WARM_UP_STEPS}")
    parser.add_argument("--no-dropout", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    stage = read_stage(options.stage)
    if tune_threads:
        set_fastest_threads(loop, stage)
    rate = 0.0 if options.no_dropout else stage.dropout
    print(json.dumps(time_steps(loop(stage, rate), options.steps)))
