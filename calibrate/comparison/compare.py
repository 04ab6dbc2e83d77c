"""Runs methods over seeds on one task."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment, prepare
from clip_cfr.calibrate.core.metrics import Predictions, evaluate
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import fit
from clip_cfr.calibrate.methods.fitted import Classifier, Fitted
from clip_cfr.calibrate.methods.together import fit_each

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
    """Fits a method and evaluates it."""
    return outcome_of(experiment, fit(name, experiment))


def outcome_of(experiment: Experiment, fitted: Fitted) -> Outcome:
    """A fitted method, with every selection evaluated on val and test."""
    task = experiment.task
    # One classifier may serve several selections: each predicts and is measured once.
    distinct = {id(each): each for each in fitted.classifiers.values()}
    predicted = {key: predict(experiment, each) for key, each in distinct.items()}
    measured = {
        key: {split: evaluate(task, each) for split, each in splits.items()}
        for key, splits in predicted.items()
    }
    keys = {selection: id(each) for selection, each in fitted.classifiers.items()}
    return Outcome(
        experiment,
        fitted,
        predictions={selection: predicted[key] for selection, key in keys.items()},
        metrics={selection: measured[key] for selection, key in keys.items()},
    )


def predict(experiment: Experiment, classifier: Classifier) -> dict[str, Predictions]:
    """A classifier's predictions for each split that is reported."""
    rows = {split: experiment.task.rows(split) for split in REPORTED}
    return {
        split: Predictions(split, each, classifier.probabilities(experiment, each))
        for split, each in rows.items()
    }


def compare(
    task: Task,
    settings: Settings,
    methods: Iterable[str],
    seeds: Iterable[int],
    progress: Callable[[str, int], None],
    held: int | None = None,
) -> tuple[Outcomes, Failures]:
    """Outcomes of every method, one for each seed, and why a method has none.

    A method that cannot be fitted with some seed leaves the comparison; the others stay.

    Args:
        progress: hears of each method and seed before they begin.
        held: rows of features to hold in memory at a time; None for all.
    """
    prepared = prepare(task, held)
    experiments = [Experiment(prepared, settings, seed) for seed in seeds]
    outcomes: Outcomes = {}
    failures: Failures = {}
    for name in methods:
        fits = fit_each(name, experiments)
        outcomes[name] = []
        for experiment in experiments:
            progress(name, experiment.seed)
            match next(fits):
                case CalibrationError() as reason:
                    failures[name] = str(reason)
                    del outcomes[name]
                    break
                case fitted:
                    outcomes[name].append(outcome_of(experiment, fitted))
    return outcomes, failures
