"""Checks of settings against a task, made before anything is trained."""

import numpy as np

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.core.settings import Settings, pool_rows
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.core.windows import check_resident_rows, window_steps
from clip_cfr.calibrate.runtime.memory import physical_memory

INDEX_BYTES = 4
# Drawing row indices needs about as much memory again.
DRAWING_FACTOR = 2
GIGA = 1e9


def erm_indices_per_step(settings: Settings) -> int:
    """Return the number of row indices that the ERM stage draws for each step."""
    return settings.batch_size


def cfr_indices_per_step(settings: Settings) -> int:
    """Return the number of row indices, at least, that the CFR stage draws for each step.

    Counted are anchors, training rows, the rows of pools, and the positives and negatives chosen
    for each anchor. Padding, and pools for anchors that lack negatives, come on top.
    """
    anchors = settings.calibration_batch_size
    count = anchors + settings.batch_size
    if settings.positive == "rps":
        count += settings.positive_pool + anchors * settings.num_positives
    if settings.negative == "rns":
        drawn = pool_rows(settings, "negative_pool")
        return count if drawn is None else count + drawn + anchors * settings.num_negatives
    if settings.nns_pool == "all":
        return count + anchors * settings.num_negatives
    return count + (pool_rows(settings, "nns_pool") or 0)


def check_stage_memory(
    task: Task,
    settings: Settings,
    resident_rows: int | None,
    *,
    option: str,
    indices_per_step: int,
    remedies: str,
) -> None:
    """Raise if the rows to keep in memory, or those drawn for all steps of a stage, do not fit.

    The memory for the drawn row indices is the physical one of this machine; if the system does not
    report it, they are not checked.

    Args:
        resident_rows: rows in memory at a time; None for all, whose steps are all drawn together.
        option: name of the setting with the number of steps.
        indices_per_step: row indices that are drawn for each step.
        remedies: end of the message, other settings to lower: " or batch_size".

    Raises:
        SettingsError: they do not fit.
    """
    check_resident_rows(len(task.rows("val")), resident_rows, settings.batch_size)
    steps, memory = getattr(settings, option), physical_memory()
    drawn = window_steps(task, resident_rows, steps, settings.evaluations, settings.batch_size)
    needed = DRAWING_FACTOR * INDEX_BYTES * drawn * indices_per_step
    if memory is not None and needed > memory:
        raise SettingsError(
            f"{option} is {steps}: drawing the rows of {drawn} steps needs about "
            f"{needed / GIGA:,.0f} GB of memory, and this machine has {memory / GIGA:,.0f} GB; "
            f"lower {option}{remedies}"
        )


def check_nns_pool(task: Task, settings: Settings, resident_rows: int | None) -> None:
    """Raise SettingsError if nns cannot search the rows that `nns_pool` asks for.

    `all` needs all rows in memory; a number may not exceed the training rows in memory.

    Args:
        resident_rows: rows in memory at a time; None for all.
    """
    if settings.negative != "nns" or settings.nns_pool == "minibatch":
        return
    if settings.nns_pool == "all":
        if resident_rows is not None:
            raise SettingsError(
                "nns_pool is 'all', which needs all rows in memory; expected minibatch or a number "
                "of rows if only some rows are in memory at a time (--hold-rows)"
            )
        return
    rows, available = pool_rows(settings, "nns_pool"), len(task.rows("train"))
    if resident_rows is not None:
        available = min(available, resident_rows - len(task.rows("val")))
    if rows > available:
        raise SettingsError(
            f"nns_pool is {rows}, expected at most {available}, the training rows that are in "
            "memory; lower it, or use all"
        )


def check_num_negatives(task: Task, settings: Settings) -> None:
    """Raise SettingsError if `num_negatives` exceeds the negatives that any anchor can have.

    These are the training rows outside the smallest class, and the rows of other classes in the
    pool of a step, see `check_pool_size`.
    """
    counts = np.bincount(task.labels[task.rows("train")])
    counts = counts[counts > 0]
    others = int(counts.sum() - counts.min())
    if settings.num_negatives > others:
        raise SettingsError(
            f"num_negatives is {settings.num_negatives}, expected at most {others}, the training "
            "rows of other classes than an anchor's"
        )
    check_pool_size(settings, num_classes=len(counts))


def check_pool_size(settings: Settings, num_classes: int) -> None:
    """Raise SettingsError if the pool of a step is too small for `num_negatives`.

    Args:
        num_classes: number of classes with training rows, at least 2.
    """
    option = negative_pool_option(settings)
    if option is None:
        return
    rows, wanted = int(getattr(settings, option)), settings.num_negatives
    # Pools are balanced over the classes; a minibatch may happen to hold other classes only.
    balanced = option != "batch_size"
    size = max(rows, num_classes)
    others = size - size // num_classes if balanced else rows
    if wanted > others:
        needed = -(-wanted * num_classes // (num_classes - 1)) if balanced else wanted
        raise SettingsError(
            f"num_negatives is {wanted}, expected at most {others}, the rows of other classes "
            f"among the {rows} rows of {option}; lower it, or raise {option} to {needed}"
        )


def negative_pool_option(settings: Settings) -> str | None:
    """Return the name of the setting with the size of the pool that negatives are chosen from.

    None if the pool is all training rows, or if every row of another class in the minibatch is
    a negative.
    """
    if settings.negative == "rns":
        return None if settings.negative_pool == "minibatch" else "negative_pool"
    return {"all": None, "minibatch": "batch_size"}.get(settings.nns_pool, "nns_pool")
