"""Empirical risk minimisation: cross-entropy over the training split."""

from calibrate.core.experiment import Experiment
from calibrate.methods.fitted import Fitted, trained_heads


def fit(experiment: Experiment) -> Fitted:
    """The heads of the ERM stage."""
    return trained_heads(experiment.erm)
