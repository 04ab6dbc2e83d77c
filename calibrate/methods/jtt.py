"""Just Train Twice (JTT): ERM again, on training rows of which ERM's errors count many times.

References:
    Liu, Haghgoo, Chen, Raghunathan, Koh, Sagawa, Liang, Finn, ICML 2021, arXiv 2107.09044. Both
    stages train CLIP's projection head here, with the settings of ERM.
"""

import numpy as np
from jaxtyping import Int

from clip_cfr.calibrate.core.divergence import check_convergence
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.methods import erm
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise SettingsError if the ERM stage cannot be trained with these settings."""
    erm.check(task, settings, resident_rows)


def fit(experiment: Experiment) -> Fitted:
    """Fit the heads of the second stage, which starts from CLIP's own as the first does.

    Raises:
        CalibrationError: a stage diverged, or the calibration set is too small.
    """
    segments = experiment.erm_segments(count_repeats(experiment))
    trained = experiment.train("jtt", experiment.erm_objective(), segments)
    check_convergence(trained, "JTT", "--erm-lr", experiment.settings.erm_lr)
    return fitted_heads(trained)


def count_repeats(experiment: Experiment) -> Int[np.ndarray, " n"]:
    """Return how often each row of the task counts: `jtt_upweight` times in the calibration set.

    A row that the training split repeats counts as often for each of its copies.
    """
    repeats = np.ones(len(experiment.task.labels), np.int32)
    repeats[experiment.calibration_set.rows] = experiment.settings.jtt_upweight
    return repeats
