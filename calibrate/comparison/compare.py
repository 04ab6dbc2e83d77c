"""Fit methods with several seeds on one task, and evaluate every selected head."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol, runtime_checkable

from clip_cfr.calibrate.comparison.method_result import REPORTED
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.experiment import Experiment, ProgressCallback
from clip_cfr.calibrate.core.metrics import Predictions, SplitMetrics, evaluate
from clip_cfr.calibrate.core.prepared import Prepared
from clip_cfr.calibrate.core.settings import Settings, selections_of
from clip_cfr.calibrate.methods.batched import fit_experiments
from clip_cfr.calibrate.methods.checks import check_task
from clip_cfr.calibrate.methods.classifiers import Classifier
from clip_cfr.calibrate.methods.fitted import Fitted

Predicted = Mapping[str, Predictions]
Measured = Mapping[str, SplitMetrics]


@runtime_checkable
class ComparisonReporter(Protocol):
    """Receives the progress of a comparison.

    Attributes:
        on_steps: called about 20 times a training stage with its name, such as `cfr`, the
            steps done and all its steps; None if steps are not reported.
    """

    on_steps: ProgressCallback | None

    def start_fit(self, method: str, seed: int) -> None:
        """Report that a method is about to be fitted with a seed."""


@dataclass(frozen=True)
class Outcome:
    """One method fitted with one seed.

    Attributes:
        experiment: the experiment, which caches shared stages and the calibration set.
        fitted: the classifiers.
        predictions: of the selected classifier, by selection criterion, then by split (`val`,
            `test`).
        metrics: those of the predictions, in the same order.
        seconds: time that fitting took; a shared stage counts for the method that trained it.
    """

    experiment: Experiment
    fitted: Fitted
    predictions: Mapping[str, Predicted]
    metrics: Mapping[str, Measured]
    seconds: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """The outcomes of several methods.

    Attributes:
        outcomes: one for each seed, in the order of the seeds, by method; without methods that
            could not be fitted.
        failures: the reason why a method could not be fitted, by method.
    """

    outcomes: Mapping[str, Sequence[Outcome]]
    failures: Mapping[str, str]


def compare(
    prepared: Prepared,
    settings: Settings,
    methods: Sequence[str],
    seeds: Iterable[int],
    reporter: ComparisonReporter,
    tuned: Mapping[str, Settings] | None = None,
) -> Comparison:
    """Fit and evaluate every method with every seed.

    Methods share the identification stage and the ERM stage of `settings`; one whose own settings
    change such a stage trains its own.

    A method that cannot be fitted with one of the seeds is left out of the outcomes, and its reason
    is in `failures`; the other methods are kept. Methods that do not suit the task are found before
    training.

    Args:
        prepared: the task.
        settings: all hyperparameters of the methods that have none of their own.
        methods: names of `METHODS`, each once.
        seeds: the seeds of every method.
        reporter: receives progress.
        tuned: all hyperparameters of a method that has its own, by method.

    Raises:
        SettingsError: a setting does not suit the task; nothing was trained.
        MemoryError: training does not fit in device memory; all outcomes are lost.
    """
    experiments = [
        Experiment(prepared, settings, seed, progress=reporter.on_steps) for seed in seeds
    ]
    outcomes: dict[str, list[Outcome]] = {}
    own = dict.fromkeys(methods, settings) | dict(tuned or {})
    failures = find_unsuitable(prepared, {name: own[name] for name in methods})
    for name in methods:
        if name in failures:
            continue
        try:
            outcomes[name] = fit_method(name, with_settings(experiments, own[name]), reporter)
        except CalibrationError as reason:
            failures[name] = str(reason)
    return Comparison(outcomes, failures)


def with_settings(experiments: Sequence[Experiment], settings: Settings) -> list[Experiment]:
    """Return experiments with these settings; those that have them already as they are."""
    return [
        each if each.settings == settings else each.with_settings(settings) for each in experiments
    ]


def find_unsuitable(prepared: Prepared, settings: Mapping[str, Settings]) -> dict[str, str]:
    """Return the reason for each method whose needs the task does not meet, by method.

    No method is trained.

    Args:
        prepared: the task.
        settings: the settings of each method.

    Raises:
        SettingsError: a setting does not suit the task.
    """
    found = {}
    for name, own in settings.items():
        try:
            check_task(prepared.task, own, [name], prepared.resident_rows)
        except SettingsError:
            raise
        except CalibrationError as reason:
            found[name] = str(reason)
    return found


def fit_method(
    name: str, experiments: Sequence[Experiment], reporter: ComparisonReporter
) -> list[Outcome]:
    """Fit and evaluate one method in each experiment, and return the outcomes in their order.

    Raises:
        CalibrationError: the method cannot be fitted in one of them.
        MemoryError: training does not fit in device memory.
    """
    fits = fit_experiments(name, experiments)
    outcomes = []
    for experiment in experiments:
        reporter.start_fit(name, experiment.seed)
        started = perf_counter()
        fitted = next(fits)
        seconds = perf_counter() - started
        if isinstance(fitted, CalibrationError):
            raise fitted
        outcomes.append(replace(evaluate_fitted(experiment, fitted), seconds=seconds))
    return outcomes


def evaluate_fitted(experiment: Experiment, fitted: Fitted) -> Outcome:
    """Evaluate the classifier of every selection criterion on val and test.

    A classifier that several criteria select is evaluated once, and its predictions are shared.
    """
    # Several criteria may select the same classifier: it is evaluated once.
    offered = selections_of(bool(experiment.task.named))
    classifiers = {name: fitted.classifiers[name] for name in offered}
    distinct = {id(each): each for each in classifiers.values()}
    predicted = {key: predict(experiment, each) for key, each in distinct.items()}
    measured = {
        key: {split: evaluate(experiment.task, each) for split, each in splits.items()}
        for key, splits in predicted.items()
    }
    keys = {selection: id(each) for selection, each in classifiers.items()}
    return Outcome(
        experiment,
        fitted,
        predictions={selection: predicted[key] for selection, key in keys.items()},
        metrics={selection: measured[key] for selection, key in keys.items()},
    )


def predict(experiment: Experiment, classifier: Classifier) -> dict[str, Predictions]:
    """Return a classifier's predictions on the valid rows of `val` and `test`, by split."""
    rows = {split: experiment.task.rows(split) for split in REPORTED}
    return {
        split: Predictions(split, each, classifier.logits(experiment, each))
        for split, each in rows.items()
    }
