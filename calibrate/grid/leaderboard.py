"""The points of a grid in order of merit, as rows for JSON and columns for CSV."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from clip_cfr.calibrate.comparison.method_result import mean
from clip_cfr.calibrate.grid.plan import Plan
from clip_cfr.calibrate.grid.points import METRICS
from clip_cfr.calibrate.grid.trials import REASON, RUNS

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
Row = dict[str, Any]


def leaderboard(plan: Plan, trials: Mapping[int, FrozenTrial]) -> list[Row]:
    """The finished points: complete ones by the validation criterion alone, then the others.

    Test accuracies stand beside it and decide nothing; of equal points the earlier comes first.
    """
    rows = [row_of(point, each) for point, each in trials.items() if each.state in STATES]
    places = list(STATES.values())

    def merit(row: Row):
        value = row["val"][plan.metric] if row["state"] == "complete" else 0.0
        return places.index(row["state"]), -value, row["point"]

    return sorted(rows, key=merit)


def row_of(point: int, trial: FrozenTrial) -> Row:
    """One point: its settings, means and deviations over seeds, and each seed's values."""
    runs = trial.user_attrs.get(RUNS, [])
    return {
        "point": point,
        "state": STATES[trial.state],
        "settings": dict(trial.params),
        "n": len(runs),
        "val": mean([each["val"] for each in runs]) if runs else None,
        "test": mean([each["test"] for each in runs]) if runs else None,
        "runs": runs,
        "seconds": trial.duration.total_seconds(),
        "reason": trial.user_attrs.get(REASON),
    }


def columns(plan: Plan, rows: list[Row]) -> dict[str, np.ndarray]:
    """The rows as columns (rows,); what a point has not is None."""
    table = [flat(plan, place, row) for place, row in enumerate(rows, 1)]
    names = dict.fromkeys(name for row in table for name in row)
    return {name: np.array([row.get(name) for row in table], object) for name in names}


def flat(plan: Plan, place: int, row: Row) -> dict[str, Any]:
    """A row with one value in every column."""
    head = {"place": place, "point": row["point"], "state": row["state"], **row["settings"]}
    return {
        **head,
        "n": row["n"],
        **over_seeds(row),
        **each_seed(plan, row),
        "seconds": row["seconds"],
        "reason": row["reason"],
    }


def over_seeds(row: Row) -> dict[str, float | None]:
    """Means and standard deviations over seeds, by split and metric."""
    names = [each for metric in METRICS for each in (metric, f"{metric}_std")]
    return {
        f"{split}_{name}": (row[split] or {}).get(name)
        for split in ("val", "test")
        for name in names
    }


def each_seed(plan: Plan, row: Row) -> dict[str, float | None]:
    """The values of every seed, by split, metric and seed."""
    runs = {each["seed"]: each for each in row["runs"]}
    return {
        f"{split}_{metric}_seed{seed}": runs[seed][split][metric] if seed in runs else None
        for seed in plan.seeds
        for split in ("val", "test")
        for metric in METRICS
    }
