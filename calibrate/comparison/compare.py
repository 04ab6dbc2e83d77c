"""Runs methods over seeds on one task."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from calibrate.errors import CalibrationError
from calibrate.experiment import Experiment, prepare
from calibrate.methods import fit
from calibrate.methods.fitted import Fitted
from calibrate.metrics import Predictions, evaluate
from calibrate.settings import Settings
from calibrate.task import Task

REPORTED = ("val", "test")


@dataclass(frozen=True)
class Outcome:
    """What one method came to with one seed.

    Attributes:
        experiment: with the ERM stage and the calibration set.
        fitted: the classifiers.
        predictions: by selection, then by split.
        metrics: likewise.
    """

    experiment: Experiment
    fitted: Fitted
    predictions: dict[str, dict[str, Predictions]]
    metrics: dict[str, dict[str, dict[str, Any]]]


Outcomes = dict[str, list[Outcome]]
Failures = dict[str, str]


def run(name: str, experiment: Experiment) -> Outcome:
    """Fits a method and evaluates every selection on val and test."""
    fitted, task = fit(name, experiment), experiment.task
    rows = {split: task.rows(split) for split in REPORTED}
    predictions = {
        selection: {
            split: Predictions(
                split, rows[split], classifier.probabilities(experiment, rows[split])
            )
            for split in REPORTED
        }
        for selection, classifier in fitted.classifiers.items()
    }
    metrics = {
        selection: {split: evaluate(task, each) for split, each in splits.items()}
        for selection, splits in predictions.items()
    }
    return Outcome(experiment, fitted, predictions, metrics)


def compare(
    task: Task,
    settings: Settings,
    methods: Iterable[str],
    seeds: Iterable[int],
    progress: Callable[[str, int], None],
) -> tuple[Outcomes, Failures]:
    """Outcomes of every method, one for each seed, and why a method has none.

    A method that cannot be fitted with some seed leaves the comparison; the others stay.

    Args:
        progress: hears of each method and seed before they begin.
    """
    prepared = prepare(task)
    outcomes: Outcomes = {name: [] for name in methods}
    failures: Failures = {}
    for seed in seeds:
        experiment = Experiment(prepared, settings, seed)
        for name in [each for each in outcomes if each not in failures]:
            progress(name, seed)
            try:
                outcomes[name].append(run(name, experiment))
            except CalibrationError as error:
                failures[name] = str(error)
    return {name: done for name, done in outcomes.items() if name not in failures}, failures
