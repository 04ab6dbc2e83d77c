"""Empirical risk minimisation (ERM): cross-entropy over the training split."""

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads


def fit(experiment: Experiment) -> Fitted:
    """Fit the heads of the ERM stage.

    Raises:
        CalibrationError: the stage diverged.
    """
    return fitted_heads(experiment.erm)
