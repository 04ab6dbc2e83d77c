"""What the PyTorch loops share: the stage that they train, and how they are timed.

A loop runs as a process of its own and prints one JSON object: the losses of its steps and the
seconds that a step took.
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

WARM_UP = 2
TRIAL_STEPS = 6

# Trains a stage with a dropout rate and yields the loss of each step.
Loop = Callable[[SimpleNamespace, float], Iterator[Tensor]]


def read_stage(path: Path) -> SimpleNamespace:
    """The stage in an .npz file: float32 and int64 tensors by name; numbers as floats.

    Row numbers have a row for each step: `anchors`, `training`, `pool`; `slots` (steps, anchors,
    negatives) are places in the pool.
    """
    with np.load(path) as arrays:
        stage = {name: tensor(arrays[name]) for name in arrays.files}
    stage["features"] *= stage.pop("feature_scale")
    return SimpleNamespace(**stage)


def tensor(array: np.ndarray) -> Tensor | float:
    """An array as a tensor, a scalar as a float."""
    if not array.ndim:
        return float(array)
    return torch.from_numpy(array.astype(np.int64 if array.dtype.kind == "i" else np.float32))


def moved_centroids(
    centroids: Tensor, embeddings: Tensor, labels: Tensor, weights: Tensor, momentum: float
) -> Tensor:
    """The moving average of each class that has weight among the rows."""
    members = torch.nn.functional.one_hot(labels, len(centroids)) * weights[:, None]
    mass = members.sum(dim=0)[:, None]
    means = members.T @ embeddings / torch.where(mass > 0, mass, 1)
    moved = momentum * centroids + (1 - momentum) * means
    return torch.where(mass > 0, torch.nn.functional.normalize(moved, dim=1), centroids)


def timed(losses: Iterator[Tensor], steps: int) -> dict[str, list[float] | float]:
    """The loss of each step, and the mean seconds of a step after the first few."""
    values, times = [], []
    for loss in islice(losses, steps):
        values.append(loss.item())
        times.append(perf_counter())
    return {"losses": values, "seconds": (times[-1] - times[WARM_UP - 1]) / (steps - WARM_UP)}


def set_best_threads(loop: Loop, stage: SimpleNamespace) -> None:
    """Lets torch use as many threads as a few steps of the loop are fastest with."""
    cores = os.cpu_count() or 1
    seconds = {}
    for count in {1, *(cores // divisor for divisor in (1, 2, 4) if cores // divisor)}:
        torch.set_num_threads(count)
        seconds[count] = timed(loop(stage, stage.dropout), TRIAL_STEPS)["seconds"]
    torch.set_num_threads(min(seconds, key=seconds.get))


def main(loop: Loop, description: str, *, tune_threads: bool = False) -> None:
    """Runs a loop as the command line asks, and prints what came of it."""
    parser = ArgumentParser(description=description)
    parser.add_argument("stage", type=Path, help="an .npz file")
    parser.add_argument("--steps", type=int, required=True, help=f"above {WARM_UP}")
    parser.add_argument("--no-dropout", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    stage = read_stage(options.stage)
    if tune_threads:
        set_best_threads(loop, stage)
    rate = 0.0 if options.no_dropout else stage.dropout
    print(json.dumps(timed(loop(stage, rate), options.steps)))
