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
from clip_cfr.calibrate.core.stage_spec import ERM_STAGE
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
    objective = GroupDroObjective(product_precision(experiment.settings))
    return fitted_heads(experiment.train(METHOD.stage, objective, make_segments(experiment)))


def make_segments(experiment: Experiment) -> Iterator[Segment]:
    """Return the segments of the stage; see `Experiment.segments`."""
    settings, rng = experiment.settings, experiment.rng(METHOD.stage.stream)
    hyperparameters = GroupDroHyperparameters(
        step_size=jnp.float32(settings.group_dro_step),
        dropout_rate=jnp.float32(settings.dropout),
    )
    return experiment.segments(
        METHOD.stage,
        rng,
        experiment.initial_head(),
        partial(draw_batches, rng, experiment),
        hyperparameters=lambda _: hyperparameters,
        loss_state=initial_log_weights(experiment.task.group_counts("train")),
    )


def draw_batches(rng: np.random.Generator, experiment: Experiment, window: Window) -> GroupBatch:
    """Draw the rows of every step of a window, balanced over the groups that it holds."""
    groups = window.take(experiment.task.groups)
    size = experiment.settings.batch_size
    rows, _ = draw_balanced_rows(rng, window.train_rows, groups, window.capacity, size)
    return GroupBatch(rows, groups[rows])
