"""PyTorch loops that train the same CFR stage, in processes of their own.

A loop is compared only if it computes the same losses.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np

from clip_cfr.calibrate.bench.sizes import Sizes
from clip_cfr.calibrate.bench.timing import Repeat
from clip_cfr.calibrate.core.segments import Segment

# Scripts that run in processes of their own, because this package never imports PyTorch.
FOLDER = Path(__file__).with_name("pytorch")
CHECKED_STEPS = 20
# Largest difference of losses, which are about 1 and computed in float32.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class PyTorchLoop:
    """A script that trains a stage in PyTorch.

    Attributes:
        name: name of the script, without `.py`.
        steps: number of steps to time.
    """

    name: str
    steps: int

    def run(self, stage: Path, *options: str) -> dict:
        """Run the script; return its output: {"losses": [1.2, ...], "seconds": 0.01}, per step.

        Args:
            stage: .npz file with the inputs of the loop.
            options: options of the script, `--steps N` among them.

        Raises:
            RuntimeError: the script failed; with the last line of its standard error.
        """
        script = FOLDER / f"{self.name}.py"
        command = [sys.executable, str(script), str(stage), *options]
        process = subprocess.run(command, capture_output=True, text=True)
        if process.returncode:
            last_line = (process.stderr.strip().splitlines() or ["no error message"])[-1]
            raise RuntimeError(
                f"{script.name} ended with exit code {process.returncode}: {last_line}"
            )
        return json.loads(process.stdout)


@dataclass(frozen=True)
class ComparableLoops:
    """The PyTorch loops that can be compared with the compiled loop.

    Attributes:
        stage: .npz file with the inputs of the loops; missing if none can be compared here.
        loops: the comparable loops.
        objections: reason why each other loop is not comparable, by name.
    """

    stage: Path
    loops: list[PyTorchLoop]
    objections: dict[str, str]

    def measure(self) -> Repeat:
        """Return the seconds per step of each comparable loop by name; empty without any.

        Raises:
            RuntimeError: a script failed.
        """
        return {
            loop.name: loop.run(self.stage, "--steps", str(loop.steps))["seconds"]
            for loop in self.loops
        }


def find_comparable_loops(
    sizes: Sizes, segment: Segment, losses: np.ndarray, folder: Path
) -> ComparableLoops:
    """Find the PyTorch loops that run here and compute the same losses; see `find_objection`.

    Args:
        sizes: numbers of steps to time.
        segment: the whole CFR stage, with the default settings.
        losses: (steps,), losses of its first steps without dropout.
        folder: folder for the input file of the loops, `stage.npz`.
    """
    stage = folder / "stage.npz"
    loops = [
        PyTorchLoop("pytorch_loop", sizes.loop_steps),
        PyTorchLoop("pytorch_vectorised", sizes.vectorised_steps),
    ]
    reason = find_common_objection()
    if reason is not None:
        return ComparableLoops(stage, [], {loop.name: reason for loop in loops})
    np.savez(stage, **stage_arrays(segment))
    found = {loop: find_objection(loop, stage, losses) for loop in loops}
    objections = {loop.name: reason for loop, reason in found.items() if reason is not None}
    return ComparableLoops(stage, [loop for loop in loops if found[loop] is None], objections)


def find_common_objection() -> str | None:
    """Return why no PyTorch loop can be compared: no PyTorch, or JAX not on a CPU; else None."""
    if find_spec("torch") is None:
        return "PyTorch is not installed: pip install 'clip-cfr[extract]'"
    if jax.default_backend() != "cpu":
        return f"the PyTorch loops run on the CPU, this on the {jax.default_backend()}"
    return None


def find_objection(loop: PyTorchLoop, stage: Path, losses: np.ndarray) -> str | None:
    """Run the first steps of a loop; return why it cannot be compared, or None if it can.

    A loop cannot be compared if its script fails or a loss differs by more than `TOLERANCE`.

    Args:
        loop: the loop to check.
        stage: .npz file with the inputs of the loops.
        losses: (steps,), the losses expected of the first steps without dropout.
    """
    try:
        found = loop.run(stage, "--steps", str(len(losses)), "--no-dropout")["losses"]
    except RuntimeError as error:
        return str(error)
    difference = float(np.abs(losses - found).max())
    if difference <= TOLERANCE:
        return None
    return f"its losses differ from ours by up to {difference:.2g} in the first {len(losses)} steps"


def stage_arrays(segment: Segment) -> dict[str, np.ndarray]:
    """Return the inputs of a stage with the default settings, as arrays by name.

    With these settings the positives are centroids, and the negatives are random rows of a pool.
    The centroids (classes, embedding) have unit length; row indices are `anchors`, `training` and
    `pool`, (steps, rows); `negatives` (steps, anchors, negatives) are indices into the pool of the
    step; hyperparameters have shape (), and `alpha` has one value for each step.
    """
    stage, data = segment.stage, segment.data
    batches, hyperparameters = stage.batches, stage.hyperparameters
    rows, indices = map(np.asarray, batches.negatives)
    steps, blocks, block_rows = rows.shape
    # Indices into a block of the pool become indices into the whole pool.
    pool_indices = indices + block_rows * np.arange(blocks)[:, None, None]
    arrays = {
        "features": data.features.values,
        "feature_scale": data.features.scale,
        "labels": data.labels,
        "class_embeddings": data.class_embeddings,
        "weight": stage.head.weight,
        "log_scale": stage.head.log_scale,
        "centroids": stage.loss_state.unit,
        "row_weights": hyperparameters.row_weights,
        "anchors": batches.anchors,
        "training": batches.training,
        "pool": rows.reshape(steps, -1),
        "negatives": pool_indices.reshape(steps, -1, indices.shape[-1]),
        "alpha": batches.alpha,
        "lr": stage.sgd.lr,
        "momentum": stage.sgd.momentum,
        "weight_decay": stage.sgd.weight_decay,
        "temperature": hyperparameters.temperature,
        "holistic_weight": hyperparameters.holistic_weight,
        "dropout": hyperparameters.dropout_rate,
        "dps_momentum": hyperparameters.dps_momentum,
    }
    return {name: np.asarray(array) for name, array in arrays.items()}
