"""Correct-n-Contrast (CnC): contrast training rows across the predictions of a short ERM.

References:
    Zhang, Sohoni, Zhang, Finn, Re, ICML 2022, arXiv 2203.01517. It trains CLIP's projection head
    here. Minibatches are balanced over classes and over rows that the identification head gets
    right or wrong, instead of rows that are sampled for each anchor.
"""

from collections.abc import Iterator
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from clip_cfr.calibrate.core.cnc import CncBatch, CncHyperparameters, CncObjective
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.sampling import draw_balanced_rows
from clip_cfr.calibrate.core.segments import Segment
from clip_cfr.calibrate.core.settings import product_precision
from clip_cfr.calibrate.core.stage_spec import StageSpec
from clip_cfr.calibrate.core.windows import Window
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(
    uses_identification=True,
    stage=StageSpec(name="cnc", stream=5, rows_per_step=lambda settings: 2 * settings.batch_size),
    settings=("cnc_temperature", "cnc_weight"),
    search=("lr", "cnc_temperature", "cnc_weight"),
)


def fit(experiment: Experiment) -> Fitted:
    """Fit the heads of the stage, which starts from CLIP's own.

    Raises:
        CalibrationError: a stage diverged, or the identification head misclassifies no training
            row.
    """
    objective = CncObjective(product_precision(experiment.settings))
    return fitted_heads(experiment.train(METHOD.stage, objective, make_segments(experiment)))


def make_segments(experiment: Experiment) -> Iterator[Segment]:
    """Return the segments of the stage; see `Experiment.segments`."""
    settings, rng = experiment.settings, experiment.rng(METHOD.stage.stream)
    hyperparameters = CncHyperparameters(
        weight=jnp.float32(settings.cnc_weight),
        temperature=jnp.float32(settings.cnc_temperature),
        dropout_rate=jnp.float32(settings.dropout),
    )
    return experiment.segments(
        METHOD.stage,
        rng,
        experiment.initial_head(),
        partial(draw_batches, rng, experiment, predicted=predict_rows(experiment)),
        hyperparameters=lambda _: hyperparameters,
    )


def predict_rows(experiment: Experiment) -> Int[np.ndarray, " n"]:
    """Return the class that the identification head predicts for training rows, -1 for others.

    Raises:
        CalibrationError: all predictions are right, so that there is no pair to contrast.
    """
    task, rows = experiment.task, experiment.task.rows("train")
    predicted = np.full(len(task.labels), -1, np.int32)
    predicted[rows] = experiment.train_logits("identification").argmax(axis=1)
    if (predicted[rows] == task.labels[rows]).all():
        raise CalibrationError(
            "cnc contrasts training rows that the identification head misclassifies with others, "
            "and it misclassifies none: train it less (--identification-steps, "
            "--identification-lr), or leave the method out"
        )
    return predicted


def draw_batches(
    rng: np.random.Generator,
    experiment: Experiment,
    window: Window,
    predicted: Int[np.ndarray, " n"],
) -> CncBatch:
    """Draw the rows of every step of a window.

    They are balanced over classes and, within each, over rows that the identification head gets
    right or wrong.
    """
    labels, predicted = window.take(experiment.task.labels), window.take(predicted)
    cells = 2 * labels + (labels == predicted)
    size = experiment.settings.batch_size
    rows, _ = draw_balanced_rows(rng, window.train_rows, cells, window.capacity, size)
    return CncBatch(rows, predicted[rows])
