"""Results of grids, made without fitting anything."""

from dataclasses import asdict

from clip_cfr.calibrate.core.settings import Settings
from clip_cfr.calibrate.grid.leaderboard import sort_points
from clip_cfr.calibrate.grid.point_result import PointResult
from clip_cfr.calibrate.grid.result import GridResult
from tests.calibrate.grid.plans import make_seed_result


def make_point(point: int, *, val=(), test=(), lr=1e-3, **changes) -> PointResult:
    """Return a point of CFR.

    Args:
        point: its index.
        val: accuracy of each seed on the validation split, for every metric.
        test: the same on the test split.
        lr: its varied setting.
        changes: other fields.
    """
    fields = {
        "method": "cfr",
        "state": "complete",
        "settings": {"lr": lr},
        "runs": tuple(
            make_seed_result(seed, *each) for seed, each in enumerate(zip(val, test, strict=True))
        ),
        "seconds": 3.0,
    }
    return PointResult(point=point, **{**fields, **changes})


def make_points() -> list[PointResult]:
    """Return points in every state, in the order of their indices."""
    return [
        make_point(0, lr=1e-4, state="failed", reason="seed 0: CFR diverged"),
        make_point(1, lr=1e-3, val=(0.75, 0.25), test=(1.0, 1.0)),
        make_point(2, lr=1e-2, state="pruned", reason="stopped at step 2 of 6"),
        make_point(3, lr=1e-1, val=(0.75, 0.5), test=(0.0, 0.5)),
        make_point(4, lr=1.0, val=(0.5, 0.75), test=(0.9, 0.9)),
    ]


def make_references() -> list[PointResult]:
    """Return zero-shot and ERM."""
    return [
        make_point(0, method="zeroshot", settings={}, val=(0.25, 0.25), test=(0.5, 0.5)),
        make_point(0, method="erm", settings={}, val=(0.5, 0.5), test=(0.25, 0.5)),
    ]


def make_result(points=None, *, fixed: Settings | None = None, **changes) -> GridResult:
    """Return the result of a grid over the learning rate of CFR.

    Args:
        points: in any order; by default `make_points()`.
        fixed: the settings that are not varied.
        changes: other fields.
    """
    fixed = fixed or Settings()
    space = changes.get("space", {"lr": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]})
    methods = changes.get("methods", ("cfr",))
    metric = fixed.selection.replace("-", "_")
    points = make_points() if points is None else points
    fields = {
        "cache": "my cache.h5",
        "cache_sha256": "0" * 64,
        "dataset": "toy",
        "model": "none",
        "class_embeddings": "prompts",
        "digest": "12345678",
        "methods": methods,
        "selection": fixed.selection,
        "criterion": fixed.selection,
        "sampler": "grid",
        "prune": False,
        "space": space,
        "settings": {k: v for k, v in asdict(fixed).items() if k not in space},
        "seeds": (0, 1),
        "hold_rows": None,
        "points": sort_points(points, methods, metric),
        "references": tuple(make_references()),
        "storage": "study.db",
        "studies": dict.fromkeys(methods, "grid"),
    }
    return GridResult(**{**fields, **changes})
