"""Group DRO: train for the worst group, with the group labels of the training split.

It shows what labels of the attribute would give, and does not compete with the methods without.

References:
    Sagawa, Koh, Hashimoto, Liang, ICLR 2020, arXiv 1911.08731. It trains CLIP's projection head
    here, with the settings of ERM.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.group_dro import (
    GroupBatch,
    GroupDroHyperparameters,
    GroupDroObjective,
    initial_log_weights,
)
from clip_cfr.calibrate.core.sampling import draw_balanced_rows
from clip_cfr.calibrate.core.segments import Segment
from clip_cfr.calibrate.core.settings import product_precision
from clip_cfr.calibrate.core.stage_spec import ERM_STAGE, StageSpec
from clip_cfr.calibrate.core.windows import Window
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads
from clip_cfr.calibrate.methods.method import Method

METHOD = Method(
    group_labels="train",
    stage=replace(
        ERM_STAGE,
        name="group-dro",
        stream=4,
        rows_per_step=lambda settings: 2 * settings.batch_size,
    ),
    settings=("group_dro_step",),
    search=("erm_lr", "weight_decay", "group_dro_step"),
)


def fit(experiment: Experiment) -> Fitted:
    """Fit the heads of the stage, which starts from CLIP's own.

    Raises:
        CalibrationError: the stage diverged.
    """
    return fit_groups(experiment, METHOD.stage, experiment.task.groups, experiment.task.num_groups)


def fit_groups(
    experiment: Experiment, stage: StageSpec, groups: Int[np.ndarray, " n"], num_groups: int
) -> Fitted:
    """Fit the heads of a stage on groups of training rows.

    Args:
        experiment: gives the task.
        stage: the stage.
        groups: group of each row of the task; a row of group -1 is not trained on.
        num_groups: number of groups.

    Raises:
        CalibrationError: the stage diverged, or no training row in memory has a group.
    """
    objective = GroupDroObjective(product_precision(experiment.settings))
    segments = make_segments(experiment, stage, groups, num_groups)
    return fitted_heads(experiment.train(stage, objective, segments))


def make_segments(
    experiment: Experiment, stage: StageSpec, groups: Int[np.ndarray, " n"], num_groups: int
) -> Iterator[Segment]:
    """Return the segments of a stage; see `Experiment.segments`; arguments as in `fit_groups`."""
    settings, rng = experiment.settings, experiment.rng(stage.stream)
    hyperparameters = GroupDroHyperparameters(
        step_size=jnp.float32(settings.group_dro_step),
        dropout_rate=jnp.float32(settings.dropout),
    )
    of_train = groups[experiment.task.rows("train")]
    counts = np.bincount(of_train[of_train >= 0], minlength=num_groups)
    return experiment.segments(
        stage,
        rng,
        experiment.initial_head(),
        partial(draw_batches, rng, experiment, groups),
        hyperparameters=lambda _: hyperparameters,
        loss_state=initial_log_weights(counts),
    )


def draw_batches(
    rng: np.random.Generator,
    experiment: Experiment,
    groups: Int[np.ndarray, " n"],
    window: Window,
) -> GroupBatch:
    """Draw the rows of every step of a window, balanced over the groups that it holds.

    Raises:
        CalibrationError: no training row of the window has a group.
    """
    groups, size = window.take(groups), experiment.settings.batch_size
    grouped = window.train_rows[groups[window.train_rows] >= 0]
    if not len(grouped):
        raise CalibrationError(
            f"none of the {len(window.train_rows)} training rows in memory has a value above "
            "--attribute-margin: lower it, or raise --hold-rows"
        )
    rows, _ = draw_balanced_rows(rng, grouped, groups, window.capacity, size)
    return GroupBatch(rows, groups[rows])
