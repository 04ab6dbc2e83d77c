"""Contrastive feature recalibration on the rows that the ERM head gets wrong.

References:
    You, Min, Dai, Sekhon, Staib, Duncan, CVPR 2024, arXiv 2403.07241. The authors' release takes
    its hard negatives from the anchor's own class; here negatives are of other classes.
"""

from collections.abc import Iterator
from itertools import chain

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from clip_cfr.calibrate.core.centroids import initial_centroids
from clip_cfr.calibrate.core.divergence import refuse_divergence
from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import Head
from clip_cfr.calibrate.core.neighbours import nearest_negatives
from clip_cfr.calibrate.core.objectives import CfrBatch, CfrObjective, CfrWeights
from clip_cfr.calibrate.core.sampling import (
    Pool,
    balanced_rows,
    minibatches,
    pool_of,
    random_negatives,
    random_positives,
)
from clip_cfr.calibrate.core.settings import Settings, nns_pool_rows
from clip_cfr.calibrate.core.train import (
    Leg,
    Stage,
    Trained,
    Watch,
    evaluation_steps,
    in_parts,
    train,
)
from clip_cfr.calibrate.core.windows import Window
from clip_cfr.calibrate.methods.fitted import Fitted, trained_heads

# A watched stage runs in so many parts.
WATCHED_PARTS = 10


def fit(experiment: Experiment, watch: Watch | None = None) -> Fitted:
    """The heads of the CFR stage.

    Args:
        watch: hears of the validation values on the way, and may raise to end the stage.

    Raises:
        CalibrationError: it diverged, or the calibration set is too small.
    """
    legs = stage_legs(experiment)
    if watch is not None:
        legs = chain.from_iterable(in_parts(leg, WATCHED_PARTS) for leg in legs)
    return fitted(experiment, train(objective_of(experiment.settings), legs, watch))


def fitted(experiment: Experiment, trained: Trained) -> Fitted:
    """The heads that the stage came to.

    Raises:
        CalibrationError: it diverged.
    """
    refuse_divergence(trained, "CFR", "--lr", experiment.settings.lr)
    return trained_heads(trained)


def objective_of(settings: Settings) -> CfrObjective:
    """The loss that the settings ask for."""
    return CfrObjective(settings.holistic, settings.cross_entropy, settings.num_negatives)


def stage_legs(experiment: Experiment) -> Iterator[Leg]:
    """The CFR stage of an experiment: one leg a window."""
    settings, rng = experiment.settings, experiment.rng("cfr")
    head = experiment.erm.last if settings.init == "erm" else experiment.start()
    row_weights = centroid_weights(experiment)
    memory = centroids(experiment, head, row_weights) if settings.positive == "dps" else None
    points = evaluation_steps(settings.steps, settings.evaluations)
    for window in experiment.windows(rng, points, experiment.calibration_set.rows):
        stage = Stage(
            head,
            memory,
            draw_batches(rng, experiment, window),
            experiment.sgd_settings(settings.lr),
            cfr_weights(settings, window.take(row_weights)),
            experiment.key("cfr"),
            window.points[0],
        )
        yield Leg(stage, experiment.prepared.data(window), window.points)


def cfr_weights(settings: Settings, row_weights: Float[np.ndarray, " held"]) -> CfrWeights:
    """What the settings make of CFR's loss."""
    return CfrWeights(
        jnp.float32(settings.temperature),
        jnp.float32(settings.holistic_weight),
        jnp.float32(settings.supcon_temperature),
        jnp.float32(settings.dropout),
        jnp.float32(settings.dps_momentum),
        jnp.asarray(row_weights),
    )


def centroid_weights(experiment: Experiment) -> Float[np.ndarray, " n"]:
    """How much each row counts in its class centroid: 0 unless the source head gets it right.

    `confidence` weighs by the probability of the label, `entropy` by one less the entropy of the
    prediction over its maximum.
    """
    settings, task, rows = experiment.settings, experiment.task, experiment.task.rows("train")
    found = np.asarray(jax.nn.softmax(experiment.train_logits(settings.dps_source)))
    labels = task.labels[rows]
    certainty = {
        "none": np.ones(len(rows)),
        "confidence": np.take_along_axis(found, labels[:, None], axis=1)[:, 0],
        "entropy": 1 + np.sum(found * np.log(found + 1e-12), axis=1) / np.log(found.shape[1]),
    }[settings.dps_weighting]
    weights = np.zeros(len(task.labels), np.float32)
    weights[rows] = certainty * (found.argmax(axis=1) == labels)
    return weights


def centroids(experiment: Experiment, head: Head, row_weights):
    """Class centroids over the training split, to start from."""
    task, rows = experiment.task, experiment.task.rows("train")
    return initial_centroids(
        head,
        experiment.prepared.features,
        rows,
        task.labels[rows],
        row_weights[rows],
        task.num_classes,
    )


def draw_batches(rng: np.random.Generator, experiment: Experiment, window: Window) -> CfrBatch:
    """The rows of every step of a window, as places among those that it holds."""
    settings, steps = experiment.settings, window.capacity
    labels, wrong = window.take(experiment.task.labels), window.wrong
    chosen = minibatches(rng, np.arange(len(wrong)), steps, settings.calibration_batch_size)
    anchors, positives = wrong[chosen], None
    if settings.positive == "rps":
        eligible = window.train_rows
        if settings.positive_source == "correct":
            eligible = eligible[window.take(erm_is_right(experiment))[eligible]]
        size, count = settings.positive_pool, settings.num_positives
        positives = random_positives(rng, anchors, labels, eligible, size, count)
    training = minibatches(rng, window.train_rows, steps, settings.batch_size)
    negatives = draw_negatives(rng, experiment, window, chosen)
    return CfrBatch(anchors, training, positives, negatives, alphas(settings, window.steps))


def erm_is_right(experiment: Experiment) -> Bool[np.ndarray, " n"]:
    """Whether the ERM head gets a row right: of the training rows, and false for the others."""
    task, rows = experiment.task, experiment.task.rows("train")
    right = np.zeros(len(task.labels), bool)
    right[rows] = experiment.train_logits("erm").argmax(axis=1) == task.labels[rows]
    return right


def draw_negatives(rng, experiment: Experiment, window: Window, chosen) -> Pool | None:
    """The negatives of every step; `chosen` are the anchors' places in the calibration set."""
    settings, count = experiment.settings, experiment.settings.num_negatives
    labels, train_rows = window.take(experiment.task.labels), window.train_rows
    if settings.negative == "rns":
        anchors = window.wrong[chosen]
        return random_negatives(rng, anchors, labels, train_rows, settings.negative_pool, count)
    if settings.nns_pool == "minibatch":
        return None
    if settings.nns_pool == "all":
        return pool_of(nearest_rows(experiment, window)[chosen])
    size = nns_pool_rows(settings)
    rows, _ = balanced_rows(rng, train_rows, labels, window.capacity, size)
    return Pool(rows[:, None], None)


def nearest_rows(experiment: Experiment, window: Window) -> Int32[np.ndarray, "wrong count"]:
    """Under the ERM head the nearest rows of other classes, for each row of the calibration set.

    Raises:
        SettingsError: not all rows are held.
    """
    if window.rows is not None:
        raise SettingsError(
            "nns_pool is 'all', which needs all rows in memory; expected minibatch or a number of "
            "rows where only some are held at a time"
        )
    features, count = experiment.prepared.features, experiment.settings.num_negatives
    labels, rows = experiment.task.labels, window.train_rows
    return nearest_negatives(experiment.erm.last, features, labels, window.wrong, rows, count)


def alphas(settings: Settings, steps: Int[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """The weight alpha of these steps; the cosine schedule counts evaluations as epochs."""
    if settings.alpha_schedule == "constant":
        return np.full(len(steps), settings.alpha, np.float32)
    points = evaluation_steps(settings.steps, settings.evaluations)
    epochs = np.searchsorted(points, steps, side="right") - 1
    turns = epochs / (len(points) - 1)
    return (settings.alpha * (1 + np.cos(2 * np.pi * turns) / 2)).astype(np.float32)
