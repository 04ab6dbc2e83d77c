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

    Complete points are ordered by their mean validation accuracy alone; of equal points the earlier
    one comes first. Methods whose accuracies cannot be compared come last.

    Args:
        points: finished points.
        methods: all methods, in the order that breaks ties.
        metric: the validation metric that ranks.
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
    """Return the points, and then the references, as columns (rows,); None where there is no value.

    `place` is the order of the points; references have none.
    """
    rows = [
        *(flat_row(result, point, place) for place, point in enumerate(result.points, 1)),
        *(flat_row(result, point, None) for point in result.references),
    ]
    names = rows[0] if rows else ()
    return {name: np.array([row[name] for row in rows], object) for name in names}


def flat_row(result: GridResult, point: PointResult, place: int | None) -> dict[str, Any]:
    """Return a point with one value for each column; None for a setting that it does not have."""
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
    """Return means and standard deviations over seeds, by split and metric."""
    names = [name for metric in METRICS for name in (metric, f"{metric}_std")]
    means = {"val": point.val or {}, "test": point.test or {}}
    return {f"{split}_{name}": means[split].get(name) for split in SPLITS for name in names}


def seed_columns(point: PointResult, seeds: Sequence[int]) -> dict[str, float | None]:
    """Return the accuracies of every seed, by split, metric and seed."""
    runs = {run.seed: run for run in point.runs}
    return {
        f"{split}_{metric}_seed{seed}": getattr(runs[seed], split)[metric] if seed in runs else None
        for seed in seeds
        for split in SPLITS
        for metric in METRICS
    }
