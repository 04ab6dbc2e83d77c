"""CFR without its holistic term: cross-entropy and contrastive term."""

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import cfr
from clip_cfr.calibrate.methods.fitted import Fitted


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise SettingsError if the ERM or this stage cannot be trained with these settings."""
    cfr.check(task, settings, resident_rows)


def fit(experiment: Experiment) -> Fitted:
    """Fit the heads of the stage.

    Raises:
        CalibrationError: a stage diverged, or the calibration set is too small.
    """
    return cfr.fit_variant("cfr-no-holistic", cfr.without_holistic(experiment))
