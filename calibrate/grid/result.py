"""What a grid comes to: the object that is printed and written, with the best point's command."""

import shlex
from collections import Counter
from dataclasses import asdict
from typing import Any

from clip_cfr.calibrate.core.errors import CalibrationError
from clip_cfr.calibrate.grid.axes import FIELDS, Value
from clip_cfr.calibrate.grid.leaderboard import Row
from clip_cfr.calibrate.grid.plan import Plan


def summarise(plan: Plan, rows: list[Row], cache: str, storage: str, study: str) -> dict[str, Any]:
    """The result, ready for JSON.

    Args:
        rows: the leaderboard.
        cache: the path of the cache.
        storage, study: where the points are kept.
    """
    counts = Counter(row["state"] for row in rows)
    return {
        "method": plan.method,
        "selection": plan.fixed.selection,
        "criterion": plan.criterion,
        "metric": plan.metric,
        "sampler": plan.sampler,
        "prune": plan.prune,
        "space": plan.identity["space"],
        "settings": plan.identity["settings"],
        "seeds": list(plan.seeds),
        "counts": {state: counts[state] for state in ("complete", "pruned", "failed")},
        "best": best(plan, rows, cache),
        "note": optimism(plan, counts["complete"]),
        "points": rows,
        "study": {"storage": storage, "name": study},
    }


def best(plan: Plan, rows: list[Row], cache: str) -> dict[str, Any] | None:
    """The first point, or None where none is complete."""
    if not rows or rows[0]["state"] != "complete":
        return None
    point, values = rows[0]["point"], rows[0]["settings"]
    return {"point": point, "settings": values, "command": command(plan, values, cache)}


def command(plan: Plan, values: dict[str, Value], cache: str) -> str:
    """A command line that calibrates with the settings of a point, ready to be pasted."""
    words = ["python", "cli.py", "calibrate", "--cache", cache]
    if plan.method != "cfr":
        words += ["--method", plan.method]
    for name, value in asdict(plan.settings(values)).items():
        if value != FIELDS[name].default:
            words += option(name, value)
    if plan.hold_rows:
        words += ["--hold-rows", str(plan.hold_rows)]
    if plan.seeds[0]:
        words += ["--seed", str(plan.seeds[0])]
    return shlex.join([*words, "--seeds", str(len(plan.seeds))])


def option(name: str, value: Value) -> list[str]:
    """A setting as an option of `calibrate`."""
    word = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{word}" if value else f"--no-{word}"]
    return [f"--{word}", str(value)]


def optimism(plan: Plan, complete: int) -> str:
    """What the selection saw, and what that means for the best value."""
    oracle = ", which uses group labels (an oracle)" if plan.criterion == "worst-group" else ""
    return (
        f"The best of {complete} points is chosen by val {plan.criterion}{oracle}: the maximum of "
        "many noisy values is optimistic. Test accuracies took no part in the choice."
    )


def refuse_no_result(result: dict[str, Any]) -> None:
    """Raises where no point came to a result.

    Raises:
        CalibrationError: gives the first reason.
    """
    if result["best"] is None:
        raise CalibrationError(f"no point could be fitted: {result['points'][0]['reason']}")
