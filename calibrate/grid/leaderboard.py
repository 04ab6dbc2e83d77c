"""The leaderboard: points sorted by validation accuracy, and as columns for CSV."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from clip_cfr.calibrate.grid.point_result import METRICS, SPLITS, STATES, PointResult
from clip_cfr.calibrate.grid.result import GridResult, rankable_methods


def sort_points(
    points: Iterable[PointResult], methods: Sequence[str], metric: str
) -> tuple[PointResult, ...]:
    """Return points in order of merit: complete ones first, then pruned and failed ones.

    Complete points are ordered by their mean validation accuracy, highest first; of equal points
    the one of the earlier method, then of the lower index, comes first. Complete points of methods
    whose accuracies cannot be compared (`rankable_methods`) follow those of the others.

    Args:
        points: finished points.
        methods: all methods, in the order that breaks ties.
        metric: the validation metric that ranks, a name of `METRICS`.
    """
    ranked = rankable_methods(methods)

    def sort_key(point: PointResult) -> tuple:
        accuracy = point.val[metric] if point.val else 0.0
        return (
            STATES.index(point.state),
            point.method not in ranked,
            -accuracy,
            methods.index(point.method),
            point.point,
        )

    return tuple(sorted(points, key=sort_key))


def leaderboard_columns(result: GridResult) -> dict[str, np.ndarray]:
    """Return the points, and then the references, as columns (rows,) of type object by name.

    Missing values are None. `place` counts the points from 1; references have none. The columns are
    the keys of `flat_row`; there are none without points and references.
    """
    rows = [
        *(flat_row(result, point, place) for place, point in enumerate(result.points, 1)),
        *(flat_row(result, point, None) for point in result.references),
    ]
    names = rows[0] if rows else ()
    return {name: np.array([row[name] for row in rows], object) for name in names}


def flat_row(result: GridResult, point: PointResult, place: int | None) -> dict[str, Any]:
    """Return a point of a result as a dict from column to value.

    Args:
        result: the result, for the varied settings and the seeds.
        point: the point or reference.
        place: its place from 1; None for a reference.

    Returns:
        `place`, `method`, `point`, `state`, `reference` (bool), each varied setting, `n` (number of
        seeds), `mean_columns`, `seed_columns`, `seconds` and `reason`. A setting that the point
        does not have is None.
    """
    return {
        "place": place,
        "method": point.method,
        "point": point.point,
        "state": point.state,
        "reference": place is None,
        **{name: point.settings.get(name) for name in result.space},
        "n": len(point.runs),
        **mean_columns(point),
        **seed_columns(point, result.seeds),
        "seconds": point.seconds,
        "reason": point.reason,
    }


def mean_columns(point: PointResult) -> dict[str, float | None]:
    """Return the mean `SPLIT_METRIC` and standard deviation `SPLIT_METRIC_std` over seeds, by name.

    Accuracies are in [0, 1]. They are None for a point without a result, deviations also for a
    single seed.
    """
    names = [name for metric in METRICS for name in (metric, f"{metric}_std")]
    means = {"val": point.val or {}, "test": point.test or {}}
    return {f"{split}_{name}": means[split].get(name) for split in SPLITS for name in names}


def seed_columns(point: PointResult, seeds: Sequence[int]) -> dict[str, float | None]:
    """Return the accuracy of each seed in [0, 1] as `SPLIT_METRIC_seedN`; None without a result."""
    runs = {run.seed: run for run in point.runs}
    return {
        f"{split}_{metric}_seed{seed}": getattr(runs[seed], split)[metric] if seed in runs else None
        for seed in seeds
        for split in SPLITS
        for metric in METRICS
    }
