"""Contrastive feature recalibration (CFR) on the rows that the ERM head misclassifies.

References:
    You, Min, Dai, Sekhon, Staib, Duncan, CVPR 2024, arXiv 2403.07241. The authors' release takes
    its hard negatives from the anchor's own class; here negatives are of other classes.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from clip_cfr.calibrate.core.centroids import compute_centroids
from clip_cfr.calibrate.core.divergence import check_convergence
from clip_cfr.calibrate.core.embeddings import Embeddings
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.core.neighbours import find_nearest_negatives
from clip_cfr.calibrate.core.objectives import CfrBatch, CfrHyperparameters, CfrObjective
from clip_cfr.calibrate.core.sampling import (
    Pool,
    draw_balanced_rows,
    draw_minibatches,
    draw_random_negatives,
    draw_random_positives,
    pool_chosen_rows,
)
from clip_cfr.calibrate.core.segments import Segment, Stage, evaluation_steps
from clip_cfr.calibrate.core.settings import Settings, nns_pool_rows
from clip_cfr.calibrate.core.train import SegmentCallback, Trained
from clip_cfr.calibrate.core.windows import Window
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads


def fit(experiment: Experiment, callback: SegmentCallback | None = None) -> Fitted:
    """Fit the heads of the CFR stage.

    Args:
        experiment: the experiment; its ERM stage is trained first if it is not cached.
        callback: called about 10 times with the step and the best validation values so far; an
            exception that it raises ends the stage.

    Raises:
        CalibrationError: a stage diverged, or the calibration set is too small.
    """
    objective, segments = make_objective(experiment.settings), make_segments(experiment)
    return fitted_stage(experiment, experiment.train("cfr", objective, segments, callback))


def fitted_stage(experiment: Experiment, trained: Trained) -> Fitted:
    """Return the result of a trained CFR stage.

    Raises:
        CalibrationError: the stage diverged.
    """
    check_convergence(trained, "CFR", "--lr", experiment.settings.lr)
    return fitted_heads(trained)


def make_objective(settings: Settings) -> CfrObjective:
    """Return the loss that the settings describe."""
    return CfrObjective(settings.holistic, settings.cross_entropy, settings.num_negatives)


def make_segments(experiment: Experiment) -> Iterator[Segment]:
    """Yield one segment of the CFR stage for each window."""
    settings, rng = experiment.settings, experiment.rng("cfr")
    head = experiment.erm.last if settings.init == "erm" else experiment.initial_head()
    row_weights = centroid_weights(experiment)
    dps = settings.positive == "dps"
    centroids = initial_centroids(experiment, head, row_weights) if dps else None
    eval_steps = evaluation_steps(settings.steps, settings.evaluations)
    for window in experiment.windows(rng, eval_steps, experiment.calibration_set.rows):
        stage = Stage(
            head=head,
            loss_state=centroids,
            batches=draw_batches(rng, experiment, window),
            sgd=experiment.sgd_settings(settings.lr),
            hyperparameters=make_hyperparameters(settings, window.take(row_weights)),
            key=experiment.key("cfr"),
            first_step=window.eval_steps[0],
        )
        yield Segment(stage, experiment.prepared.resident_data(window), window.eval_steps)


def make_hyperparameters(
    settings: Settings, row_weights: Float[np.ndarray, " resident"]
) -> CfrHyperparameters:
    """Return the hyperparameters of the loss as traced values."""
    return CfrHyperparameters(
        temperature=jnp.float32(settings.temperature),
        holistic_weight=jnp.float32(settings.holistic_weight),
        supcon_temperature=jnp.float32(settings.supcon_temperature),
        dropout_rate=jnp.float32(settings.dropout),
        dps_momentum=jnp.float32(settings.dps_momentum),
        row_weights=jnp.asarray(row_weights),
    )


def centroid_weights(experiment: Experiment) -> Float[np.ndarray, " n"]:
    """Return the weight of each row in its class centroid.

    Training rows that the source head classifies correctly have weight 1 (`none`), the
    probability of their class (`confidence`), or 1 minus the entropy of the prediction over its
    maximum (`entropy`). All other rows have weight 0.
    """
    settings, task, rows = experiment.settings, experiment.task, experiment.task.rows("train")
    predicted = np.asarray(jax.nn.softmax(experiment.train_logits(settings.dps_source)))
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
    """Return the class centroids over the training split under a head."""
    task, rows = experiment.task, experiment.task.rows("train")
    return compute_centroids(
        head,
        experiment.prepared.features,
        rows,
        labels=task.labels[rows],
        weights=row_weights[rows],
        num_classes=task.num_classes,
    )


def draw_batches(rng: np.random.Generator, experiment: Experiment, window: Window) -> CfrBatch:
    """Draw the rows of every step of a window, as indices among its resident rows."""
    settings, steps = experiment.settings, window.capacity
    num_rows = len(window.calibration_rows)
    chosen = draw_minibatches(rng, np.arange(num_rows), steps, settings.calibration_batch_size)
    anchors = window.calibration_rows[chosen]
    # The order of the draws is part of what a seed reproduces.
    positives = draw_positives(rng, experiment, window, anchors)
    training = draw_minibatches(rng, window.train_rows, steps, settings.batch_size)
    negatives = draw_negatives(rng, experiment, window, chosen)
    return CfrBatch(anchors, training, positives, negatives, alphas(settings, window.steps))


def draw_positives(
    rng: np.random.Generator,
    experiment: Experiment,
    window: Window,
    anchors: Int[np.ndarray, "steps anchors"],
) -> Pool | None:
    """Draw the random positives of every step; None if the positives are centroids."""
    settings, eligible = experiment.settings, window.train_rows
    if settings.positive == "dps":
        return None
    if settings.positive_source == "correct":
        eligible = eligible[window.take(erm_correct(experiment))[eligible]]
    return draw_random_positives(
        rng,
        anchors,
        labels=window.take(experiment.task.labels),
        eligible_rows=eligible,
        pool_size=settings.positive_pool,
        count=settings.num_positives,
    )


def erm_correct(experiment: Experiment) -> Bool[np.ndarray, " n"]:
    """Return whether the ERM head classifies each training row correctly; False for other rows."""
    task, rows = experiment.task, experiment.task.rows("train")
    correct = np.zeros(len(task.labels), bool)
    correct[rows] = experiment.train_logits("erm").argmax(axis=1) == task.labels[rows]
    return correct


def draw_negatives(
    rng: np.random.Generator,
    experiment: Experiment,
    window: Window,
    chosen: Int[np.ndarray, "steps anchors"],
) -> Pool | None:
    """Draw the negatives of every step; None if they are searched in the training minibatch.

    Args:
        chosen: indices of the anchors in the window's part of the calibration set.
    """
    settings, labels = experiment.settings, window.take(experiment.task.labels)
    if settings.negative == "rns":
        return draw_random_negatives(
            rng,
            window.calibration_rows[chosen],
            labels=labels,
            train_rows=window.train_rows,
            pool_size=settings.negative_pool,
            count=settings.num_negatives,
        )
    if settings.nns_pool == "minibatch":
        return None
    if settings.nns_pool == "all":
        return pool_chosen_rows(nearest_negatives(experiment, window)[chosen])
    size = nns_pool_rows(settings)
    rows, _ = draw_balanced_rows(rng, window.train_rows, labels, window.capacity, size)
    return Pool(rows[:, None], None)


def nearest_negatives(
    experiment: Experiment, window: Window
) -> Int32[np.ndarray, "calibration_rows count"]:
    """Find the nearest rows of other classes to each calibration row under the ERM head.

    Raises:
        SettingsError: not all rows are resident.
    """
    if window.rows is not None:
        raise SettingsError(
            "nns_pool is 'all', which needs all rows in memory; expected minibatch or a number of "
            "rows if only some rows are in memory at a time"
        )
    return find_nearest_negatives(
        experiment.erm.last,
        experiment.prepared.features,
        labels=experiment.task.labels,
        anchors=window.calibration_rows,
        rows=window.train_rows,
        count=experiment.settings.num_negatives,
    )


def alphas(settings: Settings, steps: Int[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """Return the weight alpha of each step; the cosine schedule counts evaluations as epochs."""
    if settings.alpha_schedule == "constant":
        return np.full(len(steps), settings.alpha, np.float32)
    eval_steps = evaluation_steps(settings.steps, settings.evaluations)
    epochs = np.searchsorted(eval_steps, steps, side="right") - 1
    turns = epochs / (len(eval_steps) - 1)
    return (settings.alpha * (1 + np.cos(2 * np.pi * turns) / 2)).astype(np.float32)


def row_bytes_per_step(settings: Settings) -> int:
    """Estimate the memory of the row indices that are drawn for each step."""
    chosen = settings.calibration_batch_size * (settings.num_negatives + settings.num_positives)
    rows = settings.calibration_batch_size + settings.batch_size
    pools = settings.negative_pool + settings.positive_pool
    return 4 * (chosen + rows + pools)
