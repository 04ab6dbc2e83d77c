"""Empirical risk minimization (ERM): cross-entropy over the training split."""

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods.checks import check_stage_memory, erm_indices_per_step
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise SettingsError if the rows to keep in memory, or those drawn for all steps, do not fit.

    Args:
        resident_rows: rows in memory at a time; None for all.
    """
    check_stage_memory(
        task,
        settings,
        resident_rows,
        option="erm_steps",
        indices_per_step=erm_indices_per_step(settings),
        remedies=" or batch_size",
    )


def fit(experiment: Experiment) -> Fitted:
    """Return the selected heads of the ERM stage, which is trained if it is not cached.

    Raises:
        CalibrationError: the stage diverged.
        MemoryError: it does not fit in device memory.
    """
    return fitted_heads(experiment.erm)
