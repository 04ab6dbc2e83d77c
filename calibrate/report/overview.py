"""Several runs and grids side by side."""

from collections.abc import Iterator, Sequence

from clip_cfr.calibrate.comparison.result import Result
from clip_cfr.calibrate.comparison.table import Table
from clip_cfr.calibrate.comparison.tables import METRIC_TITLES
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.report.plots.bars import Bars
from clip_cfr.calibrate.report.section import Section, table_html
from clip_cfr.calibrate.report.source import GridSource, RunSource

SHOWN = ("worst_group", "average")


def make_overview(sources: Sequence[RunSource | GridSource]) -> Section:
    """Return the section on top of a page of several runs and grids."""
    rows = [row for source in sources for row in describe(source)]
    runs = [source for source in sources if isinstance(source, RunSource)]
    by_group = any(has_attributes(source) for source in sources)
    worst = METRIC_TITLES["worst_group" if by_group else "worst_class"]
    table = Table(
        title=("test accuracy in per cent; for a grid, of its best point",),
        header=("folder", "data set", "method", "use", worst, METRIC_TITLES["average"]),
        rows=tuple(rows),
        text_columns=4,
    )
    plots = [plot_runs(runs, worst)] if len(runs) > 1 else []
    return Section("overview", "Side by side", (table_html(table), *plots))


def has_attributes(source: RunSource | GridSource) -> bool:
    """Return whether the images of a run or grid differ in an attribute."""
    result = source.result
    return result.has_attributes if isinstance(source, GridSource) else result.cache.has_attributes


def describe(source: RunSource | GridSource) -> Iterator[tuple[str, ...]]:
    """Yield a row for each method of a run, or for the best point of a grid."""
    folder, result = str(source.directory), source.result
    if isinstance(source, GridSource):
        best = result.best
        if best is not None:
            cells = [format_per_cent(best.test[m], best.test.get(f"{m}_std")) for m in SHOWN]
            yield (folder, result.dataset, f"best point, {best.method}", "-", *cells)
        return
    for name, method in result.methods.items():
        found = method.mean(result.selection, "test")
        cells = [format_per_cent(found[m], found.get(f"{m}_std")) for m in SHOWN]
        yield (folder, result.cache.dataset, source.title(name), usage(result, name), *cells)


def usage(result: Result, method: str) -> str:
    """Return `yes` for the method to use, `undecided` for each of two that val cannot decide."""
    if result.trade is not None:
        return "undecided" if method in (result.trade.method, result.trade.over) else "-"
    head = result.recommended_head
    return "yes" if head is not None and head[0] == method else "-"


def plot_runs(runs: Sequence[RunSource], worst: str) -> Bars:
    """Return bars of the test worst-group accuracy of each method in each run.

    Args:
        runs: the runs.
        worst: `worst group`, or `worst class` if no images have an attribute.
    """
    metric = f"{worst.replace(' ', '-')} accuracy"
    titles = dict.fromkeys(run.title(name) for run in runs for name in run.result.methods)
    values = [
        {
            run.title(name): 100 * each.mean(run.result.selection, "test")["worst_group"]
            for name, each in run.result.methods.items()
        }
        for run in runs
    ]
    return Bars(
        name="overview",
        title=f"{metric.capitalize()} on the test split, in per cent",
        alt=f"Bars of the {metric} of each method in each run, as in the table.",
        categories=tuple((run.directory.name,) for run in runs),
        series={title: tuple(each.get(title) for each in values) for title in titles},
        whiskers={},
        unit="accuracy in per cent",
        maximum=100.0,
    )
