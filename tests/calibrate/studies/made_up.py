"""Results of a study that were never computed: points with given accuracies of two groups."""

import numpy as np

from clip_cfr.calibrate.studies.data import Measured, StudyData

ROWS, SEEDS = 1000, 3


def make_point(
    label: str,
    accuracies: tuple[float, float] = (0.5, 0.9),
    *,
    val: float = 0.5,
    set_groups: tuple[int, ...] | None = (10, 30, 20, 40),
    selections: tuple[str, ...] = ("worst-class",),
) -> Measured:
    """Return a point whose seeds are all right about the first rows of each group.

    Args:
        label: its label.
        accuracies: its accuracy on the test rows of each group.
        val: its accuracy on val, by every metric.
        set_groups: rows of each group in its calibration set.
        selections: the criteria, which all select the same heads.
    """
    shares = np.arange(ROWS) / ROWS
    correct = np.concatenate([shares < each for each in accuracies])
    metrics = dict.fromkeys(("worst_group", "average", "worst_class", "inferred_groups"), val)
    return Measured(
        label=label,
        correct=dict.fromkeys(selections, np.tile(correct, (SEEDS, 1))),
        val=dict.fromkeys(selections, (metrics,) * SEEDS),
        set_groups=None if set_groups is None else np.tile(set_groups, (SEEDS, 1)),
        seconds=1.5,
    )


def make_failed(label: str, reason: str = "diverged") -> Measured:
    """Return a point that could not be fitted."""
    return Measured(label, {}, {}, reason=reason)


def make_data(*points: Measured, has_groups: bool = True) -> StudyData:
    """Return the results of points on a cache, with two groups of `ROWS` test rows each."""
    return StudyData(
        cache="birds.h5",
        points={each.label: each for each in points},
        selection="worst-class",
        judged_by="worst-group" if has_groups else "worst-class",
        cells=np.repeat([0, 1], ROWS),
        subjects=None,
        minority=np.array([False, True, True, False]),
        train_groups=np.array([900, 50, 50, 1000]),
    )
