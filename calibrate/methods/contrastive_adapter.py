"""Contrastive adapter: a residual adapter of CLIP's embeddings, trained with hard examples.

References:
    Zhang, Re, NeurIPS 2022, arXiv 2207.07180. Anchors are the training rows that CLIP's own head
    misclassifies; see `ContrastiveAdapterObjective` for their positives and negatives.
"""

from collections.abc import Iterator
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from clip_cfr.calibrate.core.contrastive_adapter import (
    AdapterBatch,
    AdapterHyperparameters,
    ContrastiveAdapterObjective,
)
from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.sampling import draw_minibatches
from clip_cfr.calibrate.core.segments import Segment
from clip_cfr.calibrate.core.settings import Settings, product_precision
from clip_cfr.calibrate.core.stage_spec import StageSpec
from clip_cfr.calibrate.core.windows import Window
from clip_cfr.calibrate.methods.classifiers import AdapterClassifier
from clip_cfr.calibrate.methods.erm_adapter import initial_adapter
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(
    stage=StageSpec(
        name="contrastive-adapter",
        stream=7,
        rows_per_step=lambda settings: settings.calibration_batch_size + settings.batch_size,
        memory_settings=("calibration_batch_size", "batch_size"),
    ),
    settings=("adapter_dim", "calibration_batch_size", "adapter_temperature", "num_negatives"),
    search=("lr", "weight_decay", "dropout", "adapter_temperature"),
)


def fit(experiment: Experiment) -> Fitted:
    """Fit the adapters of the stage, on CLIP's own frozen head.

    Raises:
        CalibrationError: the stage diverged, or CLIP's own head misclassifies no training row.
    """
    settings = experiment.settings
    objective = ContrastiveAdapterObjective(settings.num_negatives, product_precision(settings))
    trained = experiment.train(METHOD.stage, objective, make_segments(experiment))
    return fitted_heads(trained, AdapterClassifier)


def make_segments(experiment: Experiment) -> Iterator[Segment]:
    """Return the segments of the stage; see `Experiment.segments`."""
    settings, rng = experiment.settings, experiment.rng(METHOD.stage.stream)
    head, correct = initial_adapter(rng, experiment), zeroshot_correct(experiment)
    train = experiment.task.rows("train")
    return experiment.segments(
        METHOD.stage,
        rng,
        head,
        partial(draw_batches, rng, settings),
        hyperparameters=lambda window: AdapterHyperparameters(
            temperature=jnp.float32(settings.adapter_temperature),
            dropout_rate=jnp.float32(settings.dropout),
            correct=jnp.asarray(window.take(correct)),
        ),
        calibration_rows=train[~correct[train]],
    )


def zeroshot_correct(experiment: Experiment) -> Bool[np.ndarray, " n"]:
    """Return whether CLIP's own head classifies each training row correctly; False for others.

    Raises:
        CalibrationError: it classifies all of them correctly, so that there is no anchor.
    """
    task, rows = experiment.task, experiment.task.rows("train")
    correct = np.zeros(len(task.labels), bool)
    correct[rows] = experiment.train_logits("zeroshot").argmax(axis=1) == task.labels[rows]
    if correct[rows].all():
        raise CalibrationError(
            "contrastive-adapter needs training rows that CLIP's own head misclassifies, and there "
            "are none: leave the method out"
        )
    return correct


def draw_batches(rng: np.random.Generator, settings: Settings, window: Window) -> AdapterBatch:
    """Draw anchors and a training minibatch for every step of a window."""
    anchors, training = (
        draw_minibatches(rng, rows, window.capacity, size)
        for rows, size in (
            (window.calibration_rows, settings.calibration_batch_size),
            (window.train_rows, settings.batch_size),
        )
    )
    return AdapterBatch(anchors, training)
