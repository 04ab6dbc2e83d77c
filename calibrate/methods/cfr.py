"""Contrastive feature recalibration (CFR) on the rows that a short ERM misclassifies.

References:
    You, Min, Dai, Sekhon, Staib, Duncan, CVPR 2024, arXiv 2403.07241. The authors' release takes
    its hard negatives from the anchor's own class; here negatives are of other classes.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from clip_cfr.calibrate.core.centroids import compute_centroids
from clip_cfr.calibrate.core.embeddings import Embeddings
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.core.objectives import CfrHyperparameters, CfrObjective
from clip_cfr.calibrate.core.segments import Segment
from clip_cfr.calibrate.core.settings import Settings, product_precision
from clip_cfr.calibrate.core.stage_spec import StageSpec
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.core.train import SegmentCallback
from clip_cfr.calibrate.methods.cfr_batches import draw_batches, rows_per_step
from clip_cfr.calibrate.methods.checks import check_nns_pool, check_num_negatives
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads
from clip_cfr.calibrate.methods.method import Method

HOLISTIC_SETTINGS = ("holistic", "holistic_weight", "supcon_temperature")
CONTRAST_SETTINGS = (
    *("temperature", "positive", "negative", "num_positives", "num_negatives"),
    *("positive_source", "positive_pool", "negative_pool", "nns_pool"),
    *("dps_source", "dps_momentum", "dps_weighting"),
)
# The settings of CFR without contrast and without holistic.
ERROR_SET_SETTINGS = ("calibration_batch_size", "cross_entropy", "init", "alpha", "alpha_schedule")
METHOD = Method(
    uses_calibration_set=True,
    stage=StageSpec(
        name="cfr",
        stream=2,
        rows_per_step=rows_per_step,
        memory_settings=("calibration_batch_size", "num_negatives", "the pools"),
        cost=4,
    ),
    settings=(*ERROR_SET_SETTINGS, *CONTRAST_SETTINGS, *HOLISTIC_SETTINGS),
    search=("lr", "init", "temperature", "alpha", "holistic_weight"),
)
# The stage without the contrastive loss; methods that use it give it their name.
STAGE_WITHOUT_CONTRAST = replace(
    METHOD.stage,
    rows_per_step=lambda settings: settings.calibration_batch_size + settings.batch_size,
    memory_settings=("calibration_batch_size", "batch_size"),
    cost=2,
)


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise CalibrationError if there are too few negatives, or nns lacks rows.

    See `check_num_negatives` and `check_nns_pool`.

    Args:
        resident_rows: rows in memory at a time; None for all.
    """
    check_nns_pool(task, settings, resident_rows)
    check_num_negatives(task, settings)


def fit(experiment: Experiment, callback: SegmentCallback | None = None) -> Fitted:
    """Fit the heads of the CFR stage.

    Args:
        experiment: the experiment; its identification stage is trained first if it is not cached.
        callback: called about 10 times, or 20 times if the experiment reports progress, with the
            step and the best validation values so far; an exception that it raises ends the stage.

    Raises:
        CalibrationError: a stage diverged, or the calibration set is too small.
        MemoryError: a stage does not fit in device memory.
    """
    return fit_variant(METHOD.stage, experiment, callback=callback)


def fit_variant(
    stage: StageSpec,
    experiment: Experiment,
    *,
    contrast: bool = True,
    callback: SegmentCallback | None = None,
) -> Fitted:
    """Fit the heads of CFR, or of a method that leaves out a term of its loss.

    Args:
        stage: the stage of the method.
        experiment: as in `fit`; its setting `holistic` is `none` to leave out the holistic term.
        contrast: whether the contrastive loss is part of the objective.
        callback: as in `fit`.

    Raises:
        CalibrationError: a stage diverged, or the calibration set is too small.
    """
    objective = make_objective(experiment.settings, contrast=contrast)
    segments = make_segments(experiment, contrast=contrast)
    return fitted_heads(experiment.train(stage, objective, segments, callback))


def without_holistic(experiment: Experiment) -> Experiment:
    """Return the experiment with the holistic term left out."""
    return experiment.with_settings(replace(experiment.settings, holistic="none"))


def make_objective(settings: Settings, *, contrast: bool = True) -> CfrObjective:
    """Return the loss that the settings describe, maybe without the contrastive loss."""
    return CfrObjective(
        settings.holistic,
        settings.cross_entropy,
        negatives_source(settings),
        settings.num_negatives,
        product_precision(settings),
        contrast,
    )


def negatives_source(settings: Settings) -> str:
    """Return the source of a step's negatives, as `CfrObjective.negatives` names it.

    `chosen`: rows drawn or searched before training (rns with a pool, nns over all rows).
    `nearest`: searched in each step (nns in the minibatch or a pool). `minibatch`: all rows of
    other classes in the training minibatch (rns with `negative_pool` minibatch).
    """
    if settings.negative == "rns":
        return "minibatch" if settings.negative_pool == "minibatch" else "chosen"
    return "chosen" if settings.nns_pool == "all" else "nearest"


def make_segments(experiment: Experiment, *, contrast: bool = True) -> Iterator[Segment]:
    """Return the segments of the CFR stage; see `Experiment.segments`.

    Without `contrast`, there are no positives, negatives and centroids.
    """
    settings, rng = experiment.settings, experiment.rng(METHOD.stage.stream)
    starts_at_clip = settings.init == "clip"
    head = experiment.initial_head() if starts_at_clip else experiment.identification_head
    row_weights, centroids = np.zeros(len(experiment.task.labels), np.float32), None
    if contrast and settings.positive == "dps":
        row_weights = centroid_weights(experiment)
        centroids = initial_centroids(experiment, head, row_weights)
    return experiment.segments(
        METHOD.stage,
        rng,
        head,
        partial(draw_batches, rng, experiment, contrast=contrast),
        hyperparameters=lambda window: make_hyperparameters(settings, window.take(row_weights)),
        loss_state=centroids,
        calibration_rows=experiment.calibration_set.rows,
    )


def make_hyperparameters(
    settings: Settings, row_weights: Float[np.ndarray, " resident"]
) -> CfrHyperparameters:
    """Return the hyperparameters of the loss as float32 arrays, to be traced.

    Args:
        row_weights: weight of each resident row in the centroid of its class.
    """
    return CfrHyperparameters(
        temperature=jnp.float32(settings.temperature),
        holistic_weight=jnp.float32(settings.holistic_weight),
        supcon_temperature=jnp.float32(settings.supcon_temperature),
        dropout_rate=jnp.float32(settings.dropout),
        dps_momentum=jnp.float32(settings.dps_momentum),
        row_weights=jnp.asarray(row_weights),
    )


def centroid_weights(experiment: Experiment) -> Float[np.ndarray, " n"]:
    """Return the weight, in [0, 1], of each row of the task in its class centroid, float32.

    Training rows that the head of `dps_source` classifies correctly have weight 1 (`none`), the
    probability of their class (`confidence`), or 1 minus the entropy of the prediction over its
    maximum (`entropy`), by `dps_weighting`. All other rows have weight 0.
    """
    settings, task, rows = experiment.settings, experiment.task, experiment.task.rows("train")
    predicted = np.asarray(jax.jit(jax.nn.softmax)(experiment.train_logits(settings.dps_source)))
    labels = task.labels[rows]
    certainty = {
        "none": np.ones(len(rows)),
        "confidence": np.take_along_axis(predicted, labels[:, None], axis=1)[:, 0],
        "entropy": 1
        + np.sum(predicted * np.log(predicted + 1e-12), axis=1) / np.log(predicted.shape[1]),
    }[settings.dps_weighting]
    weights = np.zeros(len(task.labels), np.float32)
    weights[rows] = certainty * (predicted.argmax(axis=1) == labels)
    return weights


def initial_centroids(
    experiment: Experiment, head: Head, row_weights: Float[np.ndarray, " n"]
) -> Embeddings:
    """Return the class centroids over the training split under a head, as `compute_centroids` does.

    Args:
        row_weights: weight of each row of the task in the centroid of its class.
    """
    task, rows = experiment.task, experiment.task.rows("train")
    return compute_centroids(
        head,
        experiment.prepared.features,
        rows,
        labels=task.labels[rows],
        weights=row_weights[rows],
        num_classes=task.num_classes,
    )
