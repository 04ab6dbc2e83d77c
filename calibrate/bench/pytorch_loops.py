"""Loops in PyTorch that train the same stage, as processes of their own; and whether they do."""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np

from clip_cfr.calibrate.bench.sizes import Sizes
from clip_cfr.calibrate.bench.timing import Turn
from clip_cfr.calibrate.core.segments import Segment

# Programs, run in processes of their own: this package never imports PyTorch.
FOLDER = Path(__file__).with_name("pytorch")
CHECKED_STEPS = 20
# The losses are about 1, in float32.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Peer:
    """A loop: its name, which is that of its file too, and the steps that are timed."""

    name: str
    steps: int

    def run(self, stage: Path, *options: str) -> dict:
        """The losses and the seconds of a step that the loop prints.

        Raises:
            RuntimeError: it failed; with the last line that it said.
        """
        script = FOLDER / f"{self.name}.py"
        command = [sys.executable, str(script), str(stage), *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
            raise RuntimeError(f"{script.name} ended with exit code {done.returncode}: {last}")
        return json.loads(done.stdout)


@dataclass(frozen=True)
class Peers:
    """The loops that take part, and why the others do not."""

    stage: Path
    taking_part: list[Peer]
    excuses: dict[str, str]

    def measure(self) -> Turn:
        """Seconds of a step of each loop."""
        steps = {peer: ("--steps", str(peer.steps)) for peer in self.taking_part}
        return {p.name: p.run(self.stage, *options)["seconds"] for p, options in steps.items()}


def invite(sizes: Sizes, segment: Segment, losses: np.ndarray, folder: Path) -> Peers:
    """The loops that compute our losses here.

    Args:
        segment: the whole stage.
        losses: of its first steps, without dropout.
        folder: where the input of the loops goes.
    """
    stage = folder / "stage.npz"
    peers = [
        Peer("pytorch_loop", sizes.loop_steps),
        Peer("pytorch_vectorised", sizes.vectorised_steps),
    ]
    reason = reason_against_all()
    if reason is not None:
        return Peers(stage, [], {peer.name: reason for peer in peers})
    np.savez(stage, **as_arrays(segment))
    found = {peer: objection(peer, stage, losses) for peer in peers}
    excuses = {peer.name: why for peer, why in found.items() if why is not None}
    return Peers(stage, [peer for peer in peers if found[peer] is None], excuses)


def reason_against_all() -> str | None:
    """Why no PyTorch loop can be compared with here."""
    if find_spec("torch") is None:
        return "PyTorch is not installed: pip install 'clip-cfr[extract]'"
    if jax.default_backend() != "cpu":
        return f"the PyTorch loops run on the CPU, this on the {jax.default_backend()}"
    return None


def objection(peer: Peer, stage: Path, losses: np.ndarray) -> str | None:
    """Why a loop cannot be compared with: it fails, or does not compute what we do."""
    try:
        found = peer.run(stage, "--steps", str(len(losses)), "--no-dropout")["losses"]
    except RuntimeError as error:
        return str(error)
    apart = float(np.abs(losses - found).max())
    if apart <= TOLERANCE:
        return None
    return f"its losses differ from ours by up to {apart:.2g} in the first {len(losses)} steps"


def as_arrays(segment: Segment) -> dict[str, np.ndarray]:
    """All that a step of the default stage needs: centroids, and random negatives out of a pool."""
    stage, data = segment.stage, segment.data
    batches, hyperparameters = stage.batches, stage.hyperparameters
    rows, slots = map(np.asarray, batches.negatives)
    steps, parts, places = rows.shape
    in_pool = slots + places * np.arange(parts)[:, None, None]
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
        "slots": in_pool.reshape(steps, -1, slots.shape[-1]),
        "alpha": batches.alpha,
        "lr": stage.sgd.lr,
        "momentum": stage.sgd.momentum,
        "weight_decay": stage.sgd.weight_decay,
        "temperature": hyperparameters.temperature,
        "holistic": hyperparameters.holistic_weight,
        "dropout": hyperparameters.dropout_rate,
        "dps_momentum": hyperparameters.dps_momentum,
    }
    return {name: np.asarray(array) for name, array in arrays.items()}
