"""Runs methods over seeds on one task."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

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


def run(name: str, experiment: Experiment) -> Outcome:
    """Fits a method and evaluates every selection on val and test."""
    fitted, task = fit(name, experiment), experiment.task
    predictions = {}
    for selection, classifier in fitted.classifiers.items():
        predictions[selection] = {
            split: Predictions(
                split, rows := task.rows(split), classifier.probabilities(experiment, rows)
            )
            for split in REPORTED
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
) -> Outcomes:
    """Outcomes of every method, one for each seed; `progress` hears of each before it begins."""
    prepared = prepare(task)
    outcomes: Outcomes = {name: [] for name in methods}
    for seed in seeds:
        experiment = Experiment(prepared, settings, seed)
        for name, done in outcomes.items():
            progress(name, seed)
            done.append(run(name, experiment))
    return outcomes
