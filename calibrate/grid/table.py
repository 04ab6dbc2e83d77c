"""The leaderboard as a table, in per cent, and the notes below it."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

from clip_cfr.calibrate.comparison.formats import for_terminal, latex, markdown
from clip_cfr.calibrate.comparison.notes import selection_notes
from clip_cfr.calibrate.comparison.table import Table
from clip_cfr.calibrate.comparison.titles import (
    format_per_cent,
    format_settings,
    format_value,
    method_title,
    seeds_title,
)
from clip_cfr.calibrate.grid.point_result import Accuracies, PointResult
from clip_cfr.calibrate.grid.result import GridResult
from clip_cfr.calibrate.methods import METHOD_TITLES, load_method

MAX_ROWS = 20
REFERENCE_NOTE = "ref: a reference at the fixed settings with the same seeds; not ranked."


def render_grid(result: GridResult, form: str = "table"):
    """Return a result as a renderable of rich (`table`) or as text (`markdown`, `latex`, `csv`).

    The first three have accuracies in per cent; only `table` has notes below. `csv` has the rows of
    `GridResult.to_frame`, with accuracies in [0, 1].
    """
    if form == "csv":
        return rows_to_csv(result.tidy_rows())
    table = leaderboard_table(result)
    if form == "table":
        return for_terminal([table], notes(result))
    return {"markdown": markdown, "latex": latex}[form](table)


def rows_to_csv(rows: Iterable[dict[str, Any]]) -> str:
    """Return rows with equal keys as CSV with a header; empty without rows."""
    rows, text = list(rows), StringIO()
    if rows:
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def leaderboard_table(result: GridResult) -> Table:
    """Return the complete points in their order, at most `MAX_ROWS`, and then the references.

    The columns are place, method, the settings with several values, validation accuracy by the
    criterion, test worst group (`GridResult.worst`) and test average, in per cent, and the number
    of seeds.
    """
    names = [name for name, axis in result.space.items() if len(axis) > 1]
    titles = ", ".join(METHOD_TITLES[each] for each in result.methods)
    title = [
        f"{result.dataset}: {titles}, accuracy in per cent",
        *seeds_title(len(result.seeds), result.settings.get("resample", False)),
    ]
    points = [point for point in result.points if point.state == "complete"]
    references = [point for point in result.references if point.state == "complete"]
    rows = [
        *(
            (format_place(result, place, point), *format_cells(result, point, names))
            for place, point in enumerate(points[:MAX_ROWS], 1)
        ),
        *(("ref", *format_cells(result, point, names)) for point in references),
    ]
    accuracies = (f"val {result.criterion}", f"test {result.worst}", "test average")
    return Table(
        title=tuple(title),
        header=("", "method", *names, *accuracies, "n"),
        rows=tuple(rows),
        text_columns=2,
        notes=(f"class prompts: {result.prompts}",) if result.prompts else (),
    )


def format_place(result: GridResult, place: int, point: PointResult) -> str:
    """Return the place of a point as text; `-` if its method is not ranked."""
    return str(place) if point.method in result.ranked_methods else "-"


def format_cells(result: GridResult, point: PointResult, names: Sequence[str]) -> tuple[str, ...]:
    """Return the cells of a complete point after its place.

    Args:
        result: the result of the grid.
        point: the point or reference.
        names: the settings to show; `-` for one that the method does not depend on.
    """
    return (
        method_title(point.method, result.class_embeddings),
        *(format_value(point.settings[each]) if each in point.settings else "-" for each in names),
        format_accuracy(point.val, result.metric),
        format_accuracy(point.test, "worst_group"),
        format_accuracy(point.test, "average"),
        str(len(point.runs)),
    )


def format_accuracy(accuracies: Accuracies, metric: str) -> str:
    """Return a mean over seeds in per cent: `71.2`, or `71.2 ± 0.8` over several seeds.

    Args:
        accuracies: means and deviations in [0, 1], as in `PointResult.val`.
        metric: a name of `METRICS`; `-` is returned if its value is None.
    """
    return format_per_cent(accuracies[metric], accuracies.get(f"{metric}_std"))


def notes(result: GridResult) -> list[str]:
    """Return the lines below the table; the last is `GridResult.note`.

    Before it are, where they apply, lines on the criterion, references, methods without a place,
    points that are not shown, and failures.
    """
    return [
        *selection_notes(result.criterion),
        *([REFERENCE_NOTE] if result.references else []),
        *unranked_notes(result),
        *omission_notes(result),
        *failure_notes(result),
        result.note,
    ]


def unranked_notes(result: GridResult) -> list[str]:
    """Return a line for each method that trains on the validation split, if others are ranked."""
    return [
        f"{METHOD_TITLES[each]} trains on the validation split with its {groups_of(each)}: "
        "shown, not ranked."
        for each in result.methods
        if each not in result.ranked_methods
    ]


def groups_of(method: str) -> str:
    """Return the groups that a method trains on: `group labels`, or `groups named in words`."""
    named = load_method(method).named_split is not None
    return "groups named in words" if named else "group labels"


def omission_notes(result: GridResult) -> list[str]:
    """Return a line with the numbers of points that the table leaves out, if there are any.

    For example, `Not shown: 4 more, 2 pruned; all are in leaderboard.csv.`
    """
    more = max(0, result.counts["complete"] - MAX_ROWS)
    counts = {"more": more, "pruned": result.counts["pruned"]}
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    return [f"Not shown: {', '.join(parts)}; all are in leaderboard.csv."] if parts else []


def failure_notes(result: GridResult) -> list[str]:
    """Return a line for each point and reference that failed, with the reason."""
    several = len(result.methods) > 1
    return [
        *(describe_failure(point, several) for point in result.points if is_failed(point)),
        *(describe_failure(point, True) for point in result.references if is_failed(point)),
    ]


def is_failed(point: PointResult) -> bool:
    """Return whether the state of a point is `failed`."""
    return point.state == "failed"


def describe_failure(point: PointResult, show_method: bool) -> str:
    """Return the line of a failed point: `Failed: lr 0.001: REASON`, see `describe_point`."""
    return f"Failed: {describe_point(point, show_method)}: {point.reason}"


def describe_point(point: PointResult, show_method: bool) -> str:
    """Return a point as text: `lr 0.001, steps 500`, or `CFR, lr 0.001, steps 500`.

    Args:
        point: the point.
        show_method: whether to begin with the method; a point without settings always does.
    """
    method = METHOD_TITLES[point.method] if show_method or not point.settings else ""
    return ", ".join(filter(None, (method, format_settings(point.settings))))
