"""Just Train Twice (JTT): ERM on training rows of which the errors of a short ERM count many times.

References:
    Liu, Haghgoo, Chen, Raghunathan, Koh, Sagawa, Liang, Finn, ICML 2021, arXiv 2107.09044. Both
    stages train CLIP's projection head here: the first is the identification stage, the second has
    the settings of ERM.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.stage_spec import ERM_STAGE
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(
    uses_calibration_set=True,
    stage=replace(ERM_STAGE, name="jtt"),
    settings=("jtt_upweight",),
    search=("erm_lr", "weight_decay", "jtt_upweight"),
)


def fit(experiment: Experiment) -> Fitted:
    """Fit the heads of the second stage, which starts from CLIP's own as the first does.

    Raises:
        CalibrationError: a stage diverged, or the calibration set is too small.
    """
    segments = experiment.erm_segments(METHOD.stage, count_repeats(experiment))
    return fitted_heads(experiment.train(METHOD.stage, experiment.erm_objective(), segments))


def count_repeats(experiment: Experiment) -> Int[np.ndarray, " n"]:
    """Return how often each row of the task counts: `jtt_upweight` times in the calibration set.

    A row that the training split repeats counts as often for each of its copies.
    """
    repeats = np.ones(len(experiment.task.labels), np.int32)
    repeats[experiment.calibration_set.rows] = experiment.settings.jtt_upweight
    return repeats
