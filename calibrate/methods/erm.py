"""Empirical risk minimisation: cross-entropy over the training split."""

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.methods.fitted import Fitted, trained_heads


def fit(experiment: Experiment) -> Fitted:
    """The heads of the ERM stage."""
    return trained_heads(experiment.erm)
