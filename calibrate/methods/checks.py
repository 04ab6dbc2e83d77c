"""Checks of settings against a task, made before anything is trained."""

from collections.abc import Iterable

import numpy as np

from clip_cfr.cache.wording import count_noun, join_or
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.settings import WORST_NAMED_GROUP, Settings, pool_rows
from clip_cfr.calibrate.core.stage_spec import StageSpec
from clip_cfr.calibrate.core.task import Task
from clip_cfr.calibrate.core.windows import check_resident_rows, window_steps
from clip_cfr.calibrate.methods import load_module
from clip_cfr.calibrate.methods.named import HOW_TO_NAME
from clip_cfr.calibrate.runtime.memory import physical_memory

DEFAULTS = Settings()
INDEX_BYTES = 4
# Drawing row indices needs about as much memory again.
DRAWING_FACTOR = 2
GIGA = 1e9


def check_task(
    task: Task, settings: Settings, methods: Iterable[str], resident_rows: int | None = None
) -> None:
    """Raise if it is known before training that one of the methods cannot be fitted.

    Each method is checked by its own `check`, if it has one, and the memory of its stages.

    Args:
        task: task to train on.
        settings: hyperparameters.
        methods: names of the methods.
        resident_rows: rows in memory at a time; None for all.

    Raises:
        CalibrationError: the task lacks what a method needs.
        SettingsError: a setting does not suit the task or this machine; says what to change.
    """
    check_selection(settings, bool(task.named))
    for module in map(load_module, methods):
        if hasattr(module, "check"):
            module.check(task, settings, resident_rows)
        for stage in module.METHOD.stages:
            check_stage_memory(task, settings, resident_rows, stage)


def check_selection(settings: Settings, has_named: bool) -> None:
    """Raise SettingsError if heads are selected by groups in words, and no attribute is named."""
    if settings.selection == WORST_NAMED_GROUP and not has_named:
        raise SettingsError(
            f"selection is {WORST_NAMED_GROUP!r}, expected attributes named in words to select by: "
            f"{HOW_TO_NAME}; or select by another criterion"
        )


def check_stage_memory(
    task: Task, settings: Settings, resident_rows: int | None, stage: StageSpec
) -> None:
    """Raise if the rows to keep in memory, or those drawn for all steps of a stage, do not fit.

    The memory for the drawn row indices is the physical one of this machine; if the system does not
    report it, they are not checked.

    Args:
        resident_rows: rows in memory at a time; None for all, whose steps are all drawn together.

    Raises:
        SettingsError: they do not fit.
    """
    check_resident_rows(len(task.rows("val")), resident_rows, settings.batch_size)
    steps, memory = stage.num_steps(settings), physical_memory()
    drawn = window_steps(task, resident_rows, steps, settings.evaluations, settings.batch_size)
    needed = DRAWING_FACTOR * INDEX_BYTES * drawn * stage.rows_per_step(settings)
    if memory is not None and needed > memory:
        raise SettingsError(
            f"{stage.steps} is {steps}: drawing the rows of {drawn} steps needs about "
            f"{needed / GIGA:,.0f} GB of memory, and this machine has {memory / GIGA:,.0f} GB; "
            f"lower {join_or((stage.steps, *stage.memory_settings))}"
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
    """Raise if `num_negatives` exceeds the negatives that any anchor can have.

    These are the training rows outside the smallest class, and the rows of other classes in the
    pool of a step, see `check_pool_size`.

    Raises:
        CalibrationError: there are fewer training rows than the default needs.
        SettingsError: another number exceeds them, or the pool is too small.
    """
    counts = np.bincount(task.labels[task.rows("train")])
    counts = counts[counts > 0]
    others = int(counts.sum() - counts.min())
    if settings.num_negatives > others and settings.num_negatives == DEFAULTS.num_negatives:
        raise CalibrationError(
            f"the training split has {count_noun(int(counts.sum()), 'row')}, too few: expected at "
            f"least {settings.num_negatives} of other classes than an anchor's, found {others}; "
            f"train on more images, or lower --num-negatives to {others}"
        )
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
