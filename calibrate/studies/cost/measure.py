"""Measure fine-tuning, extraction and calibration, each library in a process of its own."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from clip_cfr.cache.console import COMMAND_LINE
from clip_cfr.calibrate.bench.measured_run import CommandError, Run, run_measured
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.metrics import worst
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.studies.cost.check import METHODS, MODEL, SELECTION, CostInputs

SCRIPT = Path(__file__).parent / "pytorch" / "fine_tune.py"
OPTIMIZER = {"name": "AdamW", "lr": 1e-4, "weight_decay": 0.01, "batch_size": 64}
# Largest difference of the features of an image from those of the cache, as a fraction of their
# length: the cache may have float16, and another machine may have encoded it.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Cost:
    """The measured cost of one step.

    Attributes:
        seconds: wall-clock time, without the imports of libraries.
        cpu_seconds: CPU time of all threads; that of calibration includes the imports.
        rss_mb: peak resident memory of the process, in MB (10^6 bytes).
    """

    seconds: float
    cpu_seconds: float
    rss_mb: float


@dataclass(frozen=True)
class Accuracy:
    """Test accuracies of each seed, in [0, 1].

    Attributes:
        worst: lowest accuracy over groups, or over classes where attributes are not known.
        average: accuracy over all images.
    """

    worst: tuple[float, ...]
    average: tuple[float, ...]

    def to_json(self) -> dict[str, list[float]]:
        """Return the accuracies of each seed, by `worst` and `average`."""
        return {"worst": list(self.worst), "average": list(self.average)}


@dataclass(frozen=True)
class Measurements:
    """All that is measured.

    Attributes:
        fine_tuning, calibration: cost of all seeds.
        extraction: cost of decoding and encoding all images once.
        accuracies: by `fine-tuning` and the methods.
        epochs: the selected epoch of each seed.
    """

    fine_tuning: Cost
    extraction: Cost
    calibration: Cost
    accuracies: dict[str, Accuracy]
    epochs: tuple[int, ...]

    @property
    def ratio(self) -> float:
        """Seconds of fine-tuning over those of extraction and calibration."""
        return self.fine_tuning.seconds / (self.extraction.seconds + self.calibration.seconds)


def measure(
    inputs: CostInputs,
    settings: Settings,
    *,
    epochs: int,
    seeds: tuple[int, ...],
    hold_rows: int | None,
    prompts: str | None,
) -> Measurements:
    """Fine-tune, extract and calibrate, and return costs and accuracies.

    Raises:
        CalibrationError: an image cannot be read, the images are not those of the cache, or a
            process failed.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        tuned = run_fine_tuning(inputs, folder, epochs, seeds).output
        run = run_calibration(inputs, folder, settings, seeds, hold_rows, prompts)
    calibrated = run.output
    accuracies = {"fine-tuning": tuned_accuracy(inputs, tuned["runs"])}
    for method in calibrated["methods"]:
        accuracies[method] = calibrated_accuracy(inputs.judged_by, calibrated["methods"][method])
    seconds = calibrated["seconds"]
    return Measurements(
        fine_tuning=Cost(**tuned["fine_tuning"]),
        extraction=Cost(**tuned["extraction"]),
        calibration=Cost(seconds["total"] - seconds["import"], run.cpu_seconds, run.rss_mb),
        accuracies=accuracies,
        epochs=tuple(each["epoch"] for each in tuned["runs"]),
    )


def run_fine_tuning(inputs: CostInputs, folder: Path, epochs: int, seeds: tuple[int, ...]) -> Run:
    """Run the PyTorch script on the valid rows; see its docstring.

    Raises:
        CalibrationError: it failed; with its last line.
    """
    job = folder / "job.npz"
    np.savez(job, **job_arrays(inputs))
    options = {
        "--model": MODEL,
        "--root": inputs.root,
        "--epochs": epochs,
        "--tolerance": TOLERANCE,
    }
    options |= {f"--{k.replace('_', '-')}": v for k, v in OPTIMIZER.items() if k != "name"}
    words = [str(word) for pair in options.items() for word in pair]
    words += ["--seeds", *map(str, seeds)]
    return run_step([sys.executable, str(SCRIPT), str(job), *words], folder)


def run_step(command: list[str], folder: Path) -> Run:
    """Run and measure a command; raise CalibrationError with its last line if it fails."""
    try:
        return run_measured(command, folder)
    except CommandError as error:
        raise CalibrationError(error.last_line.removeprefix("Error: ")) from error


def job_arrays(inputs: CostInputs) -> dict[str, np.ndarray]:
    """Return the inputs of the PyTorch script, for valid rows."""
    task, rows = inputs.task, np.flatnonzero(inputs.task.valid)
    return {
        "ids": np.array([inputs.ids[row] for row in rows]),
        "labels": task.labels[rows],
        "splits": task.splits[rows],
        "features": task.features[rows].astype(np.float32),
        "class_embeddings": task.class_embeddings,
        "logit_scale": np.float32(task.logit_scale),
    }


def run_calibration(
    inputs: CostInputs,
    folder: Path,
    settings: Settings,
    seeds: tuple[int, ...],
    hold_rows: int | None,
    prompts: str | None,
) -> Run:
    """Run the command calibrate with ERM and CFR.

    Raises:
        CalibrationError: a method could not be fitted.
    """
    words = ["--cache", inputs.path, "--seed", seeds[0], "--seeds", len(seeds), "--device", "cpu"]
    words += [word for name in METHODS for word in ("--method", name)]
    words += [] if hold_rows is None else ["--hold-rows", hold_rows]
    words += [] if prompts is None else ["--prompts", prompts]
    words += [*setting_words(settings), "--out", folder / "run", "--json"]
    return run_step([*COMMAND_LINE, "calibrate", *map(str, words)], folder)


def setting_words(settings: Settings) -> list[str]:
    """Return the options that give settings, without those that have their default."""
    words, defaults = [], asdict(Settings())
    for name, value in asdict(settings).items():
        option = name.replace("_", "-")
        if value == defaults[name]:
            continue
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", str(value)]
    return words


def tuned_accuracy(inputs: CostInputs, runs: list[dict]) -> Accuracy:
    """Return the accuracy of the predictions of the PyTorch script."""
    task = inputs.task
    rows = task.rows("test")
    cells = (task.groups if inputs.judged_by == "worst_group" else task.labels)[rows]
    correct = [np.array(each["predictions"]) == task.labels[rows] for each in runs]
    return Accuracy(
        worst=tuple(float(worst(each, cells, int(cells.max()) + 1)) for each in correct),
        average=tuple(float(each.mean()) for each in correct),
    )


def calibrated_accuracy(judged_by: str, method: dict) -> Accuracy:
    """Return the accuracy of a method in the output of calibrate."""
    tests = [each["by_selection"][SELECTION]["test"] for each in method["seeds"]]
    return Accuracy(
        worst=tuple(each[judged_by] for each in tests),
        average=tuple(each["average"] for each in tests),
    )
