"""A grid's leaderboard for people: accuracies in per cent."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from clip_cfr.calibrate.comparison.titles import METHOD_TITLES as NAMES
from clip_cfr.calibrate.comparison.titles import per_cent
from clip_cfr.calibrate.grid.axes import settings_text, value_text

SHOWN = 20


def render(result: dict[str, Any]) -> Group:
    """The whole result: the best points, those that failed, and what the choice saw."""
    rows = result["points"]
    complete = [row for row in rows if row["state"] == "complete"]
    lines = [*left_out(result, len(complete)), *map(failure, rows), result["note"]]
    # As text: names in brackets are no markup.
    return Group(board(result, complete[:SHOWN]), Text("\n".join(filter(None, lines))))


def board(result: dict[str, Any], rows: list[dict[str, Any]]) -> Table:
    """The first points, with the settings that differ between points."""
    seeds = len(result["seeds"])
    over = "" if seeds == 1 else f"\nmean ± standard deviation over {seeds} seeds"
    title = f"{result['dataset']}: {NAMES[result['method']]}, accuracy in per cent{over}"
    table = Table(box=SIMPLE_HEAD, title=escape(title))
    names = [name for name, axis in result["space"].items() if len(axis) > 1]
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for heading in (f"val {result['criterion']}", "test worst group", "test average", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    for place, row in enumerate(rows, 1):
        values = (value_text(row["settings"][name]) for name in names)
        table.add_row(
            str(place),
            *values,
            accuracy(row["val"], result["metric"]),
            accuracy(row["test"], "worst_group"),
            accuracy(row["test"], "average"),
            str(row["n"]),
        )
    return table


def accuracy(metrics: dict[str, Any], key: str) -> str:
    """Return a metric in per cent with its standard deviation over seeds."""
    return per_cent(metrics[key], metrics.get(f"{key}_std"))


def left_out(result: dict[str, Any], complete: int) -> list[str]:
    """What the table does not show."""
    counts = {"more": max(0, complete - SHOWN), "pruned": result["counts"]["pruned"]}
    found = [f"{count} {name}" for name, count in counts.items() if count]
    return [f"Not shown: {', '.join(found)}; all are in leaderboard.csv."] if found else []


def failure(row: dict[str, Any]) -> str | None:
    """Why a point failed."""
    if row["state"] != "failed":
        return None
    return f"Failed: {settings_text(row['settings'])}: {row['reason']}"
