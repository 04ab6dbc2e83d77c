"""The runs to log of a grid: one for each point and reference."""

from clip_cfr.calibrate.grid.point_result import SPLITS, PointResult
from clip_cfr.calibrate.grid.result import GridResult
from clip_cfr.calibrate.tracking.tracked_run import TrackedRun, text_values


def track_grid(result: GridResult, name: str) -> TrackedRun:
    """Return the run of a grid, with one run below it for each point and reference.

    Args:
        result: the result.
        name: name of the run, such as that of the grid folder.
    """
    points = [track_point(point, f"{point.method}-point{point.point}") for point in result.points]
    references = [track_point(each, f"{each.method}-reference") for each in result.references]
    return TrackedRun(
        name=name,
        tags=grid_tags(result),
        text=describe_grid(result),
        children=(*points, *references),
    )


def track_point(point: PointResult, name: str) -> TrackedRun:
    """Return the run of a point: its settings, and its metrics as means over seeds.

    The metrics are `SPLIT/METRIC` and, with several seeds, `SPLIT/METRIC_std`; a point without a
    result has none, and its reason as text.
    """
    means = {split: getattr(point, split) or {} for split in SPLITS}
    return TrackedRun(
        name=name,
        parameters={"method": point.method, "state": point.state, **point.settings},
        metrics={
            f"{split}/{metric}": value
            for split in SPLITS
            for metric, value in means[split].items()
            if value is not None
        },
        text=point.reason or "",
    )


def grid_tags(result: GridResult) -> dict[str, str]:
    """Return cache, data set, model, criterion, sampler, seeds and digest of a grid, by name."""
    return text_values(
        {
            "cache": result.cache,
            "cache_sha256": result.cache_sha256,
            "dataset": result.dataset,
            "model": result.model,
            "class_embeddings": result.class_embeddings,
            "criterion": result.criterion,
            "sampler": result.sampler,
            "seeds": ",".join(map(str, result.seeds)),
            "digest": result.digest,
        }
    )


def describe_grid(result: GridResult) -> str:
    """Return how the best point was chosen, and the command that calibrates with it, if any."""
    command = result.best_command
    return result.note if command is None else f"{result.note}\n\n    {command}"
