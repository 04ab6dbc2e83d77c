"""Cross-entropy on the calibration set and the training split: CFR without its other two terms.

It shows what the calibration set does alone. It is close to JTT, which draws both from one list.
"""

from dataclasses import replace

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.methods import cfr
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(
    uses_calibration_set=True,
    stage=replace(cfr.STAGE_WITHOUT_CONTRAST, name="error-set"),
    settings=cfr.ERROR_SET_SETTINGS,
    search=("lr", "init"),
)


def fit(experiment: Experiment) -> Fitted:
    """Fit the heads of the stage.

    Raises:
        CalibrationError: a stage diverged, or the calibration set is too small.
    """
    return cfr.fit_variant(METHOD.stage, cfr.without_holistic(experiment), contrast=False)
