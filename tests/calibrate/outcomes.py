"""A method fitted and evaluated, as tests of several packages need it."""

from clip_cfr.calibrate.comparison.compare import Outcome, evaluate_fitted
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.methods import fit


def fit_and_evaluate(method: str, experiment: Experiment) -> Outcome:
    """Fit a method, and evaluate its classifiers on val and test."""
    return evaluate_fitted(experiment, fit(method, experiment))
