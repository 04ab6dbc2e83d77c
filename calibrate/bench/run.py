"""The whole benchmark of training."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clip_cfr.calibrate.bench import grids
from clip_cfr.calibrate.bench.figures import peer_figures, training_figures
from clip_cfr.calibrate.bench.pytorch_loops import CHECKED_STEPS, Peers, invite
from clip_cfr.calibrate.bench.runs import CommandLine, celeba_figures, run_figures
from clip_cfr.calibrate.bench.sizes import Sizes
from clip_cfr.calibrate.bench.table import FIGURES
from clip_cfr.calibrate.bench.timing import take_turns
from clip_cfr.calibrate.bench.training import Training, first_losses, set_up
from clip_cfr.calibrate.runtime import jax_setup

Tell = Callable[[str], None]


def bench_train(words: Sequence[str], sizes: Sizes, repeats: int, tell: Tell) -> dict[str, Any]:
    """All figures by name; None for what cannot be measured here, and the reason why.

    Args:
        words: what starts the command line.
        repeats: turns that the medians are over.
        tell: hears what is measured next.

    Raises:
        CalibrationError: a command failed.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        command_line = CommandLine(words, folder)
        # Before JAX starts here: it would hold the GPU that they need.
        tell("calibrate, twice")
        found = run_figures(command_line, sizes)
        tell("calibrate on a cache of the size of CelebA")
        found |= celeba_figures(command_line, sizes)
        jax_setup.start("auto")
        training = set_up(sizes)
        tell("whether the PyTorch loops compute the same losses")
        peers = invited(training, folder)
        tell(f"stages and loops, in {repeats} turns")
        found |= turn_figures(training, peers, repeats)
        tell("grids")
        found |= grids.grid_figures(training, folder) | grids.gpu_figures(training, folder)
    missing = {f"speedup_vs_{peer}": why for peer, why in peers.excuses.items()}
    if "gpu_grid_ratio" not in found:
        missing["gpu_grid_ratio"] = grids.NO_GPU
    about = {"rows": list(sizes.rows), "steps": sizes.steps, "repeats": repeats}
    return {**dict.fromkeys(FIGURES), **found, **about, "not_measured": missing}


def invited(training: Training, folder: Path) -> Peers:
    """The PyTorch loops that train the stage as we do."""
    segment = training.cfr_segment(training.experiment())
    return invite(training.sizes, segment, first_losses(training, segment, CHECKED_STEPS), folder)


def turn_figures(training: Training, peers: Peers, repeats: int) -> dict[str, float]:
    """Figures of training and of the PyTorch loops that take part."""
    training.measure()  # compiles
    turns = take_turns([training.measure, peers.measure], repeats)
    names = [peer.name for peer in peers.taking_part]
    settings = training.settings
    return training_figures(training.sizes, settings, turns) | peer_figures(names, turns)
