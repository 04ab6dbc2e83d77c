"""Group DRO: train for the worst group, with the group labels of the training split.

It shows what labels of the attribute would give, and does not compete with the methods without.

References:
    Sagawa, Koh, Hashimoto, Liang, ICLR 2020, arXiv 1911.08731. It trains CLIP's projection head
    here, with the settings of ERM.
"""

from collections.abc import Iterator
from functools import partial

import jax.numpy as jnp
import numpy as np

from clip_cfr.calibrate.core.divergence import check_convergence
from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.group_dro import (
    GroupBatch,
    GroupDroHyperparameters,
    GroupDroObjective,
    initial_log_weights,
)
from clip_cfr.calibrate.core.sampling import draw_balanced_rows
from clip_cfr.calibrate.core.segments import Segment
from clip_cfr.calibrate.core.settings import Settings, product_precision
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.core.windows import Window
from clip_cfr.calibrate.methods.checks import check_stage_memory
from clip_cfr.calibrate.methods.fitted import Fitted, fitted_heads


def check(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise SettingsError if the stage cannot be trained with these settings.

    Args:
        resident_rows: rows in memory at a time; None for all.
    """
    check_stage_memory(
        task,
        settings,
        resident_rows,
        option="erm_steps",
        indices_per_step=2 * settings.batch_size,
        remedies=" or batch_size",
    )


def fit(experiment: Experiment) -> Fitted:
    """Fit the heads of the stage, which starts from CLIP's own.

    Raises:
        CalibrationError: the stage diverged.
    """
    objective = GroupDroObjective(product_precision(experiment.settings))
    trained = experiment.train("group-dro", objective, make_segments(experiment))
    check_convergence(trained, "group DRO", "--erm-lr", experiment.settings.erm_lr)
    return fitted_heads(trained)


def make_segments(experiment: Experiment) -> Iterator[Segment]:
    """Return the segments of the stage; see `Experiment.segments`."""
    settings, rng = experiment.settings, experiment.rng("group-dro")
    hyperparameters = GroupDroHyperparameters(
        step_size=jnp.float32(settings.group_dro_step),
        dropout_rate=jnp.float32(settings.dropout),
    )
    return experiment.segments(
        "group-dro",
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
