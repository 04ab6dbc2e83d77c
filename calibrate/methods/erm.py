"""Empirical risk minimization (ERM): cross-entropy over the training split."""

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.stage_spec import ERM_STAGE
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(uses_erm=True, stage=ERM_STAGE, search=("erm_lr", "weight_decay", "dropout"))


def fit(experiment: Experiment) -> Fitted:
    """Return the selected heads of the ERM stage, which is trained if it is not cached.

    Raises:
        CalibrationError: the stage diverged.
        MemoryError: it does not fit in device memory.
    """
    return fitted_heads(experiment.erm)
