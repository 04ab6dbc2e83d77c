"""Row indices of every step of the CFR stage: anchors, training rows, positives and negatives."""

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.neighbours import find_nearest_negatives
from clip_cfr.calibrate.core.objectives import CfrBatch
from clip_cfr.calibrate.core.sampling import (
    Pool,
    draw_balanced_rows,
    draw_minibatches,
    draw_missing_negatives,
    draw_missing_positives,
    draw_random_negatives,
    draw_random_positives,
    pool_chosen_rows,
)
from clip_cfr.calibrate.core.segments import evaluation_steps
from clip_cfr.calibrate.core.settings import Settings, pool_rows
from clip_cfr.calibrate.core.windows import Window
from clip_cfr.calibrate.methods.checks import check_nns_pool


def rows_per_step(settings: Settings) -> int:
    """Return the number of row indices, at least, that the CFR stage draws for each step.

    Counted are anchors, training rows, the rows of pools, and the positives and negatives chosen
    for each anchor. Padding, and pools for anchors that lack negatives, come on top.
    """
    anchors = settings.calibration_batch_size
    count = anchors + settings.batch_size
    pool = pool_rows(settings, "positive_pool")
    if settings.positive == "rps" and pool is not None:
        count += pool + anchors * settings.num_positives
    if settings.negative == "rns":
        drawn = pool_rows(settings, "negative_pool")
        return count if drawn is None else count + drawn + anchors * settings.num_negatives
    if settings.nns_pool == "all":
        return count + anchors * settings.num_negatives
    return count + (pool_rows(settings, "nns_pool") or 0)


def draw_batches(
    rng: np.random.Generator, experiment: Experiment, window: Window, *, contrast: bool = True
) -> CfrBatch:
    """Draw the rows of every step of a window, as indices among its resident rows.

    Without `contrast`, no positives and negatives are drawn.
    """
    settings, steps = experiment.settings, window.capacity
    num_rows = len(window.calibration_rows)
    chosen = draw_minibatches(rng, np.arange(num_rows), steps, settings.calibration_batch_size)
    anchors = window.calibration_rows[chosen]
    # The order of the draws is part of what a seed reproduces.
    positives = draw_positives(rng, experiment, window, anchors) if contrast else None
    training = draw_minibatches(rng, window.train_rows, steps, settings.batch_size)
    eligible = None
    if contrast and takes_batch_positives(settings):
        eligible = window.take(eligible_positives(experiment))
        positives = draw_missing_positives(
            rng,
            anchors,
            training,
            labels=window.take(experiment.task.labels),
            eligible=eligible,
            train_rows=window.train_rows,
            count=settings.num_positives,
        )
        eligible = eligible[training]
    negatives = draw_negatives(rng, experiment, window, chosen, training) if contrast else None
    alpha = alphas(settings, window.steps)
    return CfrBatch(anchors, training, positives, eligible, negatives, alpha)


def takes_batch_positives(settings: Settings) -> bool:
    """Return whether the positives are rows of the training minibatch."""
    return settings.positive == "rps" and settings.positive_pool == "minibatch"


def draw_positives(
    rng: np.random.Generator,
    experiment: Experiment,
    window: Window,
    anchors: Int[np.ndarray, "steps anchors"],
) -> Pool | None:
    """Draw pools of random positives for every step.

    None if the positives are centroids, or come from the training minibatch.

    They are training rows of the window, with `positive_source` `correct` only those that the
    identification head classifies correctly. The anchor itself is never one of its positives.

    Args:
        anchors: indices of the anchors among the resident rows.
    """
    settings, rows = experiment.settings, window.train_rows
    if settings.positive == "dps" or takes_batch_positives(settings):
        return None
    return draw_random_positives(
        rng,
        anchors,
        labels=window.take(experiment.task.labels),
        eligible_rows=rows[window.take(eligible_positives(experiment))[rows]],
        pool_size=pool_rows(settings, "positive_pool"),
        count=settings.num_positives,
    )


def eligible_positives(experiment: Experiment) -> Bool[np.ndarray, " n"]:
    """Return whether each row of the task may be a random positive, by `positive_source`."""
    if experiment.settings.positive_source == "correct":
        return identified_correctly(experiment)
    return np.ones(len(experiment.task.labels), bool)


def identified_correctly(experiment: Experiment) -> Bool[np.ndarray, " n"]:
    """Return whether the identification head is right about each training row; else False."""
    task, rows = experiment.task, experiment.task.rows("train")
    correct = np.zeros(len(task.labels), bool)
    predicted = experiment.train_logits("identification").argmax(axis=1)
    correct[rows] = predicted == task.labels[rows]
    return correct


def draw_negatives(
    rng: np.random.Generator,
    experiment: Experiment,
    window: Window,
    chosen: Int[np.ndarray, "steps anchors"],
    training: Int[np.ndarray, "steps rows"],
) -> Pool | None:
    """Draw the negatives of every step; None if the training minibatch has them all.

    Args:
        chosen: indices of the anchors into `window.calibration_rows`.
        training: indices of the training minibatches among the resident rows.

    Returns:
        With rns, a pool with `num_negatives` rows chosen for each anchor, or, with `negative_pool`
        `minibatch`, a pool for anchors that lack negatives there. With nns, the nearest rows of the
        training split (`all`), or a random pool in which each step searches.

    Raises:
        SettingsError: `nns_pool` is `all`, and not all rows are resident.
    """
    settings, labels = experiment.settings, window.take(experiment.task.labels)
    if settings.negative == "rns" and settings.negative_pool == "minibatch":
        return draw_missing_negatives(
            rng,
            window.calibration_rows[chosen],
            training,
            labels=labels,
            train_rows=window.train_rows,
            count=settings.num_negatives,
        )
    if settings.negative == "rns":
        return draw_random_negatives(
            rng,
            window.calibration_rows[chosen],
            labels=labels,
            train_rows=window.train_rows,
            pool_size=pool_rows(settings, "negative_pool"),
            count=settings.num_negatives,
        )
    if settings.nns_pool == "minibatch":
        return None
    if settings.nns_pool == "all":
        return pool_chosen_rows(nearest_negatives(experiment, window)[chosen])
    size = pool_rows(settings, "nns_pool")
    rows, _ = draw_balanced_rows(rng, window.train_rows, labels, window.capacity, size)
    return Pool(rows[:, None], None)


def nearest_negatives(
    experiment: Experiment, window: Window
) -> Int32[np.ndarray, "calibration_rows count"]:
    """Find the `num_negatives` nearest training rows of other classes to each calibration row.

    Cosine similarity is computed under the identification head.

    Returns:
        Row indices in the task, nearest first; -1 where there are too few.

    Raises:
        SettingsError: not all rows are resident.
    """
    check_nns_pool(experiment.task, experiment.settings, experiment.prepared.resident_rows)
    return find_nearest_negatives(
        experiment.identification_head,
        experiment.prepared.features,
        labels=experiment.task.labels,
        anchors=window.calibration_rows,
        rows=window.train_rows,
        count=experiment.settings.num_negatives,
    )


def alphas(settings: Settings, steps: Int[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """Return the weight of cross-entropy and contrastive loss in each step, float32.

    The schedule `constant` gives alpha, `cosine` alpha * (1 + cos(2 pi e / E) / 2), where e of E
    evaluations precede the step: evaluations count as epochs.

    Args:
        steps: indices of the steps in the stage.
    """
    if settings.alpha_schedule == "constant":
        return np.full(len(steps), settings.alpha, np.float32)
    eval_steps = evaluation_steps(settings.steps, settings.evaluations)
    epochs = np.searchsorted(eval_steps, steps, side="right") - 1
    turns = epochs / (len(eval_steps) - 1)
    return (settings.alpha * (1 + np.cos(2 * np.pi * turns) / 2)).astype(np.float32)
