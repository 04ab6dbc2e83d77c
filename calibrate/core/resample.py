"""Draw the training rows anew for a seed: the bootstrap over rows, or over subjects."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.core.task import Task

MAX_DRAWS = 100


def resample_train(rng: np.random.Generator, task: Task) -> Task:
    """Return the task with as many units drawn with replacement from its training split.

    A unit is a row, or a subject with all its rows. Units are drawn within each class, so that the
    classes keep their sizes; groups vary, because training has no group labels. Features are not
    copied: `train_rows` repeats row indices.

    A subject's class is that of its first row. If a class has other rows only, and none is drawn,
    the draw is repeated.

    Args:
        rng: draws the units.
        task: the task; its own `train_rows` are ignored.

    Raises:
        CalibrationError: `MAX_DRAWS` draws in a row lack a class.

    References:
        Efron, Annals of Statistics 1979, "Bootstrap methods: another look at the jackknife".
    """
    rows = task.split_rows("train")
    labels = task.labels[rows]
    subjects = rows if task.subjects is None else task.subjects[rows]
    for _ in range(MAX_DRAWS):
        drawn = np.repeat(rows, count_draws(rng, subjects, labels))
        missing = np.setdiff1d(labels, task.labels[drawn])
        if not len(missing):
            return replace(task, train_rows=drawn)
    names = ", ".join(repr(task.class_names[each]) for each in missing)
    raise CalibrationError(
        f"--resample: {MAX_DRAWS} draws of training subjects have no row of class {names}, because "
        "few subjects show it: leave --resample out"
    )


def count_draws(
    rng: np.random.Generator, subjects: Int[np.ndarray, " rows"], labels: Int[np.ndarray, " rows"]
) -> Int[np.ndarray, " rows"]:
    """Draw subjects with replacement within each class; return how often each row is drawn.

    All rows of a subject are drawn equally often. The number of subjects of a class, which is that
    of the subject's first row, stays the same.
    """
    _, first, subject = np.unique(subjects, return_index=True, return_inverse=True)
    counts = np.zeros(len(first), int)
    for label in np.unique(labels[first]):
        members = np.flatnonzero(labels[first] == label)
        drawn = rng.choice(members, size=len(members))
        counts += np.bincount(drawn, minlength=len(counts))
    return counts[subject]
