"""Tables of a result for display, with accuracies in per cent."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from clip_cfr.calibrate.comparison.group_tables import groups_table, named_tables
from clip_cfr.calibrate.comparison.method_result import MethodResult
from clip_cfr.calibrate.comparison.notes import INFERRED_GROUPS, named_groups
from clip_cfr.calibrate.comparison.result import Result
from clip_cfr.calibrate.comparison.table import Table
from clip_cfr.calibrate.comparison.titles import format_per_cent, method_title, seeds_title
from clip_cfr.calibrate.comparison.tuning import tuning_title
from clip_cfr.calibrate.comparison.versus import COMPARED, LEVEL, MetricDifference, Versus
from clip_cfr.calibrate.core.named_groups import SMALLEST
from clip_cfr.calibrate.core.settings import WORST_NAMED_GROUP

METRIC_TITLES = {
    "worst_group": "worst group",
    "average": "average",
    "train_weighted_average": "train-weighted average",
    "group_mean": "mean over groups",
    "worst_class": "worst class",
}
# Rows of the metrics if the images have no attribute, so that the groups are the classes.
CLASS_TITLES = {
    "worst_class": "worst class",
    "average": "average",
    "group_mean": "mean over classes",
}
INTERVALS: Mapping[str, Callable[[MethodResult], tuple[float, float] | None]] = {
    "worst_group": lambda method: method.worst_group_interval,
    "worst_class": lambda method: method.worst_class_interval,
}
SHOWN_CLASSES = 5  # of which a note shows the prompts
SELECTION_REMARKS = {
    INFERRED_GROUPS: " (no group labels)",
    "worst-group": " (an oracle)",
    WORST_NAMED_GROUP: " (groups named in words)",
}


def make_tables(result: Result) -> list[Table]:
    """Return the tables of a result: methods, differences, groups, and groups named in words.

    Differences and groups named in words have tables if there are any.
    """
    compared = [] if result.versus is None else [versus_table(result, result.versus)]
    return [methods_table(result), *compared, groups_table(result), *named_tables(result)]


def methods_table(result: Result) -> Table:
    """Return test accuracies in per cent, with one column for each method.

    The rows are the group labels used, the metrics of `METRIC_TITLES` with the intervals of worst
    group and worst class, worst group named in words if some are, and worst group of the head that
    val worst-group accuracy selects. All other rows are of the head that the result's selection
    selects. If the images have no attribute, the metrics are those of `CLASS_TITLES`, and there is
    no row about groups. A note has the class prompts.
    """
    remark = SELECTION_REMARKS.get(result.selection, "")
    title = [
        f"{result.cache.dataset}: accuracy on the test split, in per cent",
        f"heads selected by validation {result.selection}{remark}",
        *tuning_title(result.tuning),
        *seeds_title(len(result.seeds), result.settings.resample),
    ]
    rows = ((name, *map(cell, result.methods.values())) for name, cell in method_cells(result))
    note = prompts_note(result.cache.prompts, result.cache.prompt_set)
    return Table(tuple(title), ("", *result.titles), tuple(rows), notes=note)


def named_row(result: Result) -> str:
    """Return the title of the row of groups named in words, with their number if some are small.

    Groups of fewer than `SMALLEST` images do not count, unless all are so small.
    """
    groups = named_groups(result, "test")
    counted = sum(each["n"] >= SMALLEST for each in groups)
    if counted in (0, len(groups)):
        return "worst group named in words"
    return f"worst of {counted} of {len(groups)} groups named in words"


def method_cells(result: Result) -> Iterator[tuple[str, Callable[[MethodResult], str]]]:
    """Yield name and cell of each row of `methods_table`."""
    has_attributes, selection = result.cache.has_attributes, result.selection
    yield "group labels used", lambda method: group_labels(method, selection)
    for key, name in (METRIC_TITLES if has_attributes else CLASS_TITLES).items():
        yield name, lambda method, key=key: mean_cell(method, selection, key)
        if key in INTERVALS:
            yield (
                f"{name}, 95 % interval",
                lambda method, key=key: interval_cell(INTERVALS[key](method)),
            )
    if result.named is not None:
        yield (
            named_row(result),
            lambda method: mean_cell(method, selection, "worst_named_group"),
        )
    if has_attributes:
        yield "worst group, oracle", lambda method: mean_cell(method, "worst-group", "worst_group")


def mean_cell(method: MethodResult, selection: str, key: str) -> str:
    """Return a test metric in per cent: `88.2`, or `88.2 ± 0.4` over several seeds.

    Args:
        method: the method.
        selection: the criterion that selects the head.
        key: a field of `SplitMetrics`; `-` is returned if its value is None.
    """
    metrics = method.mean(selection, "test")
    return format_per_cent(metrics[key], metrics.get(f"{key}_std"))


def interval_cell(interval: tuple[float, float] | None) -> str:
    """Return an interval in per cent, `[83.1, 90.5]`, or `-` for None."""
    if interval is None:
        return "-"
    low, high = interval
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def versus_table(result: Result, versus: Versus) -> Table:
    """Return the differences from one method in points, with one column for each other method.

    A cell has the difference and its interval, `+12.3 [+1.2, +23.0]`, with a star if it is beyond
    noise.
    """
    columns = list(versus.differences.items())
    other = method_title(versus.method, result.cache.class_embeddings)
    titles = METRIC_TITLES if result.cache.has_attributes else CLASS_TITLES
    rows = (
        (titles[metric], *(difference_cell(each[metric]) for _, each in columns))
        for metric in COMPARED
        if metric in titles
    )
    header = ("", *(method_title(name, result.cache.class_embeddings) for name, _ in columns))
    title = (f"difference from {other} on the test split, in points, with 95 % interval",)
    many = f" after Holm's correction for {len(columns)} methods" if len(columns) > 1 else ""
    units = "images" if len(result.seeds) == 1 else "images and seeds"
    note = f"* beyond the noise of {units}: p < {LEVEL}{many}."
    return Table(title, header, tuple(rows), notes=(note,))


def difference_cell(found: MetricDifference) -> str:
    """Return a difference in points with its interval, and a star if it is beyond noise."""
    low, high = (f"{100 * bound:+.1f}" for bound in found.interval)
    mark = "*" if found.is_beyond_noise else ""
    return f"{100 * found.difference:+.1f} [{low}, {high}]{mark}"


def group_labels(method: MethodResult, selection: str) -> str:
    """Return the group labels that a method and its selection use, as text.

    This is `none`, or the split whose labels the method uses, or `val (selection)` if the selection
    of the head by worst-group accuracy uses them; `train, val (selection)` if both do.
    """
    used = [] if method.group_labels == "none" else [method.group_labels]
    if selection == "worst-group" and method.is_selected and method.group_labels != "val":
        used.append("val (selection)")
    return ", ".join(used) or "none"


def prompts_note(prompts: Sequence[Sequence[str]], prompt_set: str | None) -> tuple[str, ...]:
    """Return a line with the class prompts, in the order of the classes; none without prompts.

    For example, `class prompts (simple): "a photo of a cat."; "a photo of a dog."`. Each class has
    its first prompt and the number of the others; after `SHOWN_CLASSES` classes, their number.
    """
    shown = [
        f'"{" ".join(first.split())}"{f" and {len(others)} more" if others else ""}'
        for first, *others in filter(None, prompts)
    ]
    if not shown:
        return ()
    more = [f"{len(shown) - SHOWN_CLASSES} more classes"] if len(shown) > SHOWN_CLASSES else []
    name = f" ({prompt_set})" if prompt_set else ""
    return (f"class prompts{name}: {'; '.join(shown[:SHOWN_CLASSES] + more)}",)
