"""Contrastive feature recalibration on the rows that the ERM head gets wrong.

References:
    You, Min, Dai, Sekhon, Staib, Duncan, CVPR 2024, arXiv 2403.07241. The authors' release takes
    its hard negatives from the anchor's own class; here negatives are of other classes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int32

from calibrate.centroids import initial_centroids
from calibrate.divergence import refuse_divergence
from calibrate.experiment import Experiment
from calibrate.head import Head
from calibrate.methods.fitted import Fitted, trained_heads
from calibrate.neighbours import nearest_negatives
from calibrate.objectives import CfrBatch, CfrObjective, CfrWeights
from calibrate.sampling import (
    Pool,
    balanced_rows,
    minibatches,
    pool_of,
    random_negatives,
    random_positives,
)
from calibrate.settings import Settings, nns_pool_rows
from calibrate.train import Stage, Watch, evaluation_steps, train


def fit(experiment: Experiment, watch: Watch | None = None) -> Fitted:
    """The heads of the CFR stage.

    Args:
        watch: hears of the validation values on the way, and may raise to end the stage.

    Raises:
        CalibrationError: it diverged, or the calibration set is too small.
    """
    settings = experiment.settings
    objective = CfrObjective(settings.holistic, settings.cross_entropy, settings.num_negatives)
    points = evaluation_steps(settings.steps, settings.evaluations)
    trained = train(objective, stage_of(experiment), points, experiment.prepared.data, watch)
    refuse_divergence(trained, "CFR", "--lr", settings.lr)
    return trained_heads(trained)


def stage_of(experiment: Experiment) -> Stage:
    """What the CFR stage of an experiment depends on."""
    settings, weights = experiment.settings, row_weights(experiment)
    head = experiment.erm.last if settings.init == "erm" else experiment.start()
    return Stage(
        head,
        centroids(experiment, head, weights) if settings.positive == "dps" else None,
        draw_batches(experiment),
        experiment.sgd_settings(settings.lr),
        CfrWeights(
            jnp.float32(settings.temperature),
            jnp.float32(settings.holistic_weight),
            jnp.float32(settings.supcon_temperature),
            jnp.float32(settings.dropout),
            jnp.float32(settings.dps_momentum),
            jnp.asarray(weights),
        ),
        experiment.key("cfr"),
    )


def row_weights(experiment: Experiment) -> Float[np.ndarray, " n"]:
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


def centroids(experiment: Experiment, head: Head, weights):
    """Class centroids over the training split, to start from."""
    task, rows = experiment.task, experiment.task.rows("train")
    features = experiment.prepared.data.features
    return initial_centroids(
        head, features, rows, task.labels[rows], weights[rows], task.num_classes
    )


def draw_batches(experiment: Experiment) -> CfrBatch:
    """The rows of every step."""
    settings, labels, rng = experiment.settings, experiment.task.labels, experiment.rng("cfr")
    train_rows, wrong = experiment.task.rows("train"), experiment.calibration_set.rows
    places = minibatches(
        rng, np.arange(len(wrong)), settings.steps, settings.calibration_batch_size
    )
    anchors = wrong[places]
    positives = None
    if settings.positive == "rps":
        eligible = train_rows if settings.positive_source == "all" else correct_rows(experiment)
        size, count = settings.positive_pool, settings.num_positives
        positives = random_positives(rng, anchors, labels, eligible, size, count)
    return CfrBatch(
        anchors,
        minibatches(rng, train_rows, settings.steps, settings.batch_size),
        positives,
        draw_negatives(rng, experiment, places),
        alphas(settings),
    )


def correct_rows(experiment: Experiment) -> Int32[np.ndarray, " rows"]:
    """Training rows that the ERM head gets right."""
    rows = experiment.task.rows("train")
    found = experiment.train_logits("erm").argmax(axis=1)
    return rows[found == experiment.task.labels[rows]]


def draw_negatives(rng, experiment: Experiment, places) -> Pool | None:
    """The negatives of every step; `places` are the anchors' places in the calibration set."""
    settings, labels = experiment.settings, experiment.task.labels
    train_rows, wrong = experiment.task.rows("train"), experiment.calibration_set.rows
    count = settings.num_negatives
    if settings.negative == "rns":
        return random_negatives(
            rng, wrong[places], labels, train_rows, settings.negative_pool, count
        )
    if settings.nns_pool == "minibatch":
        return None
    if settings.nns_pool == "all":
        features = experiment.prepared.data.features
        nearest = nearest_negatives(experiment.erm.last, features, labels, wrong, train_rows, count)
        return pool_of(nearest[places])
    rows, _ = balanced_rows(rng, train_rows, labels, settings.steps, nns_pool_rows(settings))
    return Pool(rows, None)


def alphas(settings: Settings) -> Float[np.ndarray, " steps"]:
    """The weight alpha of each step; the cosine schedule counts evaluations as epochs."""
    if settings.alpha_schedule == "constant":
        return np.full(settings.steps, settings.alpha, np.float32)
    points = evaluation_steps(settings.steps, settings.evaluations)
    epochs = np.searchsorted(points, np.arange(settings.steps), side="right") - 1
    turns = epochs / (len(points) - 1)
    return (settings.alpha * (1 + np.cos(2 * np.pi * turns) / 2)).astype(np.float32)
