"""CFR without its contrastive term: cross-entropy and holistic term.

With the same seed and centroids as positives, its minibatches are those of CFR.
"""

from dataclasses import replace

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.methods import cfr
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(
    uses_calibration_set=True,
    stage=replace(cfr.STAGE_WITHOUT_CONTRAST, name="cfr-no-contrast"),
    settings=(*cfr.ERROR_SET_SETTINGS, *cfr.HOLISTIC_SETTINGS),
    search=("lr", "init", "alpha", "holistic_weight"),
)


def fit(experiment: Experiment) -> Fitted:
    """Fit the heads of the stage.

    Raises:
        CalibrationError: a stage diverged, or the calibration set is too small.
    """
    return cfr.fit_variant(METHOD.stage, experiment, contrast=False)
