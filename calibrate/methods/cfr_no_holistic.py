"""CFR without its holistic term: cross-entropy and contrastive term."""

from dataclasses import replace

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import cfr
from clip_cfr.calibrate.methods.fitted import Fitted
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(
    uses_calibration_set=True,
    stage=replace(cfr.METHOD.stage, name="cfr-no-holistic"),
    settings=(*cfr.ERROR_SET_SETTINGS, *cfr.CONTRAST_SETTINGS),
    search=("lr", "init", "temperature"),
)


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise SettingsError if rows are missing to sample from; see `cfr.check`."""
    cfr.check(task, settings, resident_rows)


def fit(experiment: Experiment) -> Fitted:
    """Fit the heads of the stage.

    Raises:
        CalibrationError: a stage diverged, or the calibration set is too small.
    """
    return cfr.fit_variant(METHOD.stage, cfr.without_holistic(experiment))
