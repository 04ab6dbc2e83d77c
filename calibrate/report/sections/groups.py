"""Test accuracy by group, methods side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from clip_cfr.cache.wording import count_noun
from clip_cfr.calibrate.report.plots.bars import Bars
from clip_cfr.calibrate.report.section import Section, paragraph
from clip_cfr.calibrate.report.source import RunSource

SHOWN_GROUPS = 24


def make(source: RunSource) -> Section:
    """Return the section with the accuracy of every method in every group of the test split."""
    result = source.result
    heading = f"Accuracy by {'group' if result.cache.has_attributes else 'class'}"
    cells = {
        source.title(name): method.mean(result.selection, "test")["groups"]
        for name, method in result.methods.items()
    }
    bars = plot_groups(
        source,
        cells,
        [(name,) for name in source.group_names],
        name="groups",
        title=f"{heading} on the test split, in per cent",
    )
    return Section("groups", heading, (*limits(len(source.group_names), result), bars))


def plot_groups(
    source: RunSource,
    cells: Mapping[str, Sequence[Mapping[str, Any]]],
    names: Sequence[tuple[str, ...]],
    *,
    name: str,
    title: str,
) -> Bars:
    """Return bars of the accuracy of every method in the groups to show, see `choose_groups`.

    Args:
        source: the run.
        cells: the groups of each method by its title, as in `SplitMetrics.to_json`.
        names: the lines of the label of each group.
        name, title: of the plot.
    """
    first = next(iter(cells.values()))
    shown = choose_groups(cells, source.title(source.shown_head[0]))
    return Bars(
        name=name,
        title=title,
        alt=f"Bars. {title}. The section Results has the numbers in a table.",
        categories=tuple((*names[index], f"n = {first[index]['n']:,}") for index in shown),
        series={each: per_cent(groups, "accuracy", shown) for each, groups in cells.items()},
        whiskers={each: per_cent(groups, "accuracy_std", shown) for each, groups in cells.items()}
        if len(source.result.seeds) > 1
        else {},
        unit="accuracy in per cent",
        maximum=100.0,
    )


def choose_groups(cells: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> list[int]:
    """Return the indices of the groups to show: those with rows, if too many the worst ones.

    Args:
        cells: the groups of each method, as in `SplitMetrics.to_json`.
        title: the method that decides which groups are the worst.
    """
    known = [index for index, each in enumerate(cells[title]) if each["accuracy"] is not None]
    worst = sorted(known, key=lambda index: cells[title][index]["accuracy"])[:SHOWN_GROUPS]
    return sorted(worst)


def per_cent(
    groups: Sequence[Mapping[str, Any]], key: str, shown: Sequence[int]
) -> tuple[float | None, ...]:
    """Return a value of some groups in per cent; None where it is missing."""
    values = (groups[index].get(key) for index in shown)
    return tuple(None if value is None else 100 * value for value in values)


def limits(count: int, result) -> list[str]:
    """Return paragraphs on the whiskers, and on groups that are not shown."""
    lines = []
    if len(result.seeds) > 1:
        lines.append(f"Bars are means over {len(result.seeds)} seeds, whiskers one deviation.")
    if count > SHOWN_GROUPS:
        lines.append(f"Shown are {SHOWN_GROUPS} of {count_noun(count, 'group')}: the worst ones.")
    return [paragraph(" ".join(lines), "note")] if lines else []
