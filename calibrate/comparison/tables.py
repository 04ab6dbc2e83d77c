"""Tables of a result for display, with accuracies in per cent, and the notes below them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clip_cfr.calibrate.comparison.method_result import MethodResult
from clip_cfr.calibrate.comparison.result import CLASS_MEANS, Result
from clip_cfr.calibrate.comparison.titles import format_per_cent, method_title, seeds_title
from clip_cfr.calibrate.comparison.tuning import tuning_notes, tuning_title
from clip_cfr.calibrate.comparison.versus import COMPARED, LEVEL, MetricDifference, Versus
from clip_cfr.calibrate.core.settings import WORST_NAMED_GROUP
from clip_cfr.calibrate.methods import METHOD_TITLES, load_method
from clip_cfr.calibrate.named.request import WordAttribute
from clip_cfr.calibrate.named.sentences import describe_left_out
from clip_cfr.calibrate.named.summary import SplitSummary

AVERAGES = {
    "average": "average",
    "train_weighted_average": "train-weighted average",
    "group_mean": "mean over groups",
    "worst_class": "worst class",
}
METRIC_TITLES = {"worst_group": "worst group", **AVERAGES}
SHOWN_CLASSES = 5  # of which a note shows the prompts
FEW_ROWS = 20
FEW_ROWS_NOTE = f"* fewer than {FEW_ROWS} images: the accuracy of this group is uncertain."
ORACLE = "oracle: the head with the best validation worst-group accuracy, which needs group labels."
INFERRED_GROUPS = "inferred-groups"
INFERRED_GROUPS_NOTE = (
    f"{INFERRED_GROUPS}: the mean of worst-class accuracy, average accuracy, and mean accuracy "
    "over the images that CLIP's own head gets right and those that it gets wrong, in each class."
)
SELECTION_REMARKS = {
    INFERRED_GROUPS: " (no group labels)",
    "worst-group": " (an oracle)",
    WORST_NAMED_GROUP: " (groups named in words)",
}
CLASS_MEANS_NOTE = (
    "class means: not zero-shot. The class embeddings are means over the training images, so this "
    "column has seen the training labels."
)


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        title: lines above it.
        header: titles of the columns.
        rows: the rows, each with one cell for each column.
        text_columns: number of leading columns that contain text; the others contain numbers.
        notes: lines below it, which explain marks.
    """

    title: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    notes: tuple[str, ...] = ()


def make_tables(result: Result) -> list[Table]:
    """Return the tables of a result: methods, differences, groups, and groups named in words.

    Differences and groups named in words have tables if there are any.
    """
    compared = [] if result.versus is None else [versus_table(result, result.versus)]
    return [methods_table(result), *compared, groups_table(result), *named_tables(result)]


def named_tables(result: Result) -> list[Table]:
    """Return the tables of each attribute named in words: accuracies, and agreement if known."""
    if result.named is None:
        return []
    tables = []
    for attribute, splits in zip(result.named.attributes, result.named.splits, strict=True):
        columns = named_columns(result, attribute)
        tables.append(
            named_groups_table(
                attribute, splits["test"], result.named.margin, titles(result), columns
            )
        )
        if splits["test"].groups:
            tables.append(agreement_table(attribute, splits["test"]))
    return tables


def named_columns(result: Result, attribute: WordAttribute) -> list[list[Mapping[str, Any]]]:
    """Return the groups named in words of one attribute on the test split, for each method."""
    means = (each.mean(result.selection, "test") for each in result.methods.values())
    return [
        [group for group in each["named_groups"] if group["attribute"] == attribute.name]
        for each in means
    ]


def titles(result: Result) -> list[str]:
    """Return the column title of each method, in the order of the result."""
    return [method_title(name, result.cache.class_embeddings) for name in result.methods]


def methods_table(result: Result) -> Table:
    """Return test accuracies in per cent, with one column for each method.

    The rows are the group labels used, worst group and worst class with their intervals, the
    averages of `AVERAGES`, worst group named in words if some are, and worst group of the head that
    val worst-group accuracy selects. All other rows are of the head that the result's selection
    selects. A note has the class prompts.
    """
    remark = SELECTION_REMARKS.get(result.selection, "")
    title = [
        f"{result.cache.dataset}: accuracy on the test split, in per cent",
        f"heads selected by validation {result.selection}{remark}",
        *tuning_title(result.tuning),
        *seeds_title(len(result.seeds), result.settings.resample),
    ]
    cells: dict[str, Callable[[MethodResult], str]] = {
        "group labels used": lambda method: group_labels(method, result.selection),
        "worst group": lambda method: mean_cell(method, result.selection, "worst_group"),
        "worst group, 95 % interval": lambda method: interval_cell(method.worst_group_interval),
    }
    for key, name in AVERAGES.items():
        cells[name] = lambda method, key=key: mean_cell(method, result.selection, key)
    cells["worst class, 95 % interval"] = lambda method: interval_cell(method.worst_class_interval)
    if result.named is not None:
        cells["worst group named in words"] = lambda method: mean_cell(
            method, result.selection, "worst_named_group"
        )
    cells["worst group, oracle"] = lambda method: mean_cell(method, "worst-group", "worst_group")
    rows = ((name, *map(cell, result.methods.values())) for name, cell in cells.items())
    note = prompts_note(result.cache.prompts, result.cache.prompt_set)
    return Table(tuple(title), ("", *titles(result)), tuple(rows), notes=note)


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
    rows = (
        (METRIC_TITLES[metric], *(difference_cell(each[metric]) for _, each in columns))
        for metric in COMPARED
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


def groups_table(result: Result) -> Table:
    """Return test accuracy in per cent in every group, with one column for each method.

    The first columns are class, attribute and number of rows of the group. Groups with some, but
    fewer than `FEW_ROWS` rows are marked.
    """
    columns = [each.mean(result.selection, "test")["groups"] for each in result.methods.values()]
    title = ("accuracy by group, on the test split, in per cent",)
    return cells_table(title, "attribute", "attribute", titles(result), columns)


def cells_table(
    title: tuple[str, ...],
    key: str,
    heading: str,
    methods: Sequence[str],
    columns: Sequence[Sequence[Mapping[str, Any]]],
) -> Table:
    """Return a table of accuracies in groups, of which those with few rows are marked.

    Args:
        title: lines above it.
        key: the entry of a group that is its second name, beside `label`.
        heading: title of the column of these names.
        methods: titles of the methods.
        columns: the groups of each method, with `n`, `accuracy` and, over seeds, `accuracy_std`.
    """
    rows = tuple(
        (
            cells[0]["label"],
            cells[0][key],
            mark_few(cells[0]["n"]),
            *(format_per_cent(cell["accuracy"], cell.get("accuracy_std")) for cell in cells),
        )
        for cells in zip(*columns, strict=True)
    )
    header = ("class", heading, "n", *methods)
    return Table(title, header, rows, text_columns=2, notes=few_rows_note(rows))


def mark_few(n: int) -> str:
    """Return a number of rows as text, with a star if there are some, but few."""
    return f"{n}{'*' if 0 < n < FEW_ROWS else ''}"


def few_rows_note(rows: Sequence[Sequence[str]], column: int = 2) -> tuple[str, ...]:
    """Return the note on marked groups; none if no row of a table is marked in its column of n."""
    return (FEW_ROWS_NOTE,) if any(row[column].endswith("*") for row in rows) else ()


def named_groups_table(
    attribute: WordAttribute,
    split: SplitSummary,
    margin: float,
    methods: Sequence[str],
    columns: Sequence[Sequence[Mapping[str, Any]]],
) -> Table:
    """Return test accuracy in per cent in every group named in words of one attribute.

    Args:
        attribute: the attribute.
        split: its summary of the test split.
        margin: smallest margin of a row with a value.
        methods: titles of the methods.
        columns: its groups of each method.
    """
    title = [
        f"accuracy by groups named in words ({attribute.name}), on the test split, in per cent"
    ]
    if margin:
        title.append(describe_left_out("test", split, margin))
    return cells_table(tuple(title), "value", "named value", methods, columns)


def agreement_table(attribute: WordAttribute, split: SplitSummary) -> Table:
    """Return how often the named value of a test image agrees with the attribute of the cache."""
    rows = tuple(
        (
            each.label,
            each.attribute,
            "-" if each.value is None else each.value,
            mark_few(each.n),
            format_per_cent(each.agreement),
        )
        for each in split.groups
    )
    title = (
        f"agreement of the values named in words ({attribute.name}) with the attribute of the "
        "cache, on the test split, in per cent",
        f"over all images: {format_per_cent(split.agreement)}",
    )
    header = ("class", "attribute", "named value", "n", "agreement")
    return Table(title, header, rows, text_columns=3, notes=few_rows_note(rows, 3))


def notes(result: Result) -> list[str]:
    """Return the lines below the tables; the recommendation is the last.

    Before it come, where they apply, notes on the selection, the oracle, class means, the
    calibration set, chosen hyperparameters, the tuning and durations.
    """
    lines = [*selection_notes(result.selection), ORACLE]
    if result.cache.class_embeddings == CLASS_MEANS and "zeroshot" in result.methods:
        lines.append(CLASS_MEANS_NOTE)
    if result.calibration_set is not None:
        lines.append(describe_calibration_set(result))
    lines += describe_stops(result) + describe_choices(result)
    lines += tuning_notes(result.tuning, result.methods)
    lines += describe_costs(result)
    if result.seconds:
        seconds = ", ".join(f"{name} {value:.1f}" for name, value in result.seconds.items())
        lines.append(f"Seconds: {seconds}")
    return [*lines, format_recommendation(result)]


def selection_notes(selection: str) -> list[str]:
    """Return the line that defines a criterion of selection; none if its name says it."""
    return [INFERRED_GROUPS_NOTE] if selection == INFERRED_GROUPS else []


def describe_costs(result: Result) -> list[str]:
    """Return a sentence with training steps and seconds of each method, if they are known.

    For example, `Training steps and seconds for each seed: ERM 2,000 and 1.3, CFR 2,400 and 4.0.`.
    """
    pairs = zip(titles(result), result.methods.values(), strict=True)
    costs = [
        f"{title} {method.cost.steps:,} and {method.cost.seconds:.1f}"
        for title, method in pairs
        if method.cost is not None
    ]
    if not costs:
        return []
    memory = "" if result.peak_memory_mb is None else f" Peak memory: {result.peak_memory_mb} MB."
    return [
        f"Training steps and seconds for each seed: {', '.join(costs)}. A stage that methods share "
        f"takes time once, for the first of them.{memory}"
    ]


def describe_calibration_set(result: Result) -> str:
    """Return a sentence about the size, classes and groups of the calibration set.

    For example, `Calibration set: 40 training images that the identification head misclassifies:
    30 of 'cat' (10 day, 20 night), 10 of 'dog' (5 day, 5 night).`. The result must have a
    calibration set.
    """
    found = result.calibration_set
    parts = []
    for index, name in enumerate(result.cache.class_names):
        groups = [
            f"{number(n)} {attribute}"
            for (label, attribute), n in zip(result.cache.groups, found.per_group, strict=True)
            if label == name
        ]
        inside = f" ({', '.join(groups)})" if len(groups) > 1 else ""
        parts.append(f"{number(found.per_class[index])} of '{name}'{inside}")
    heads = {"identification": "the identification head", "zeroshot": "CLIP"}
    source = heads[result.settings.calibration_source]
    over = ", counted as often as they were drawn" if result.settings.resample else ""
    over += ", mean over seeds" if len(result.seeds) > 1 else ""
    return (
        f"Calibration set: {number(found.size)} training images that {source} misclassifies{over}: "
        f"{', '.join(parts)}."
    )


def describe_stops(result: Result) -> list[str]:
    """Return a sentence about each stage that stopped before its last step."""
    if not result.settings.patience:
        return []
    stages = {
        name: stage.num_steps(result.settings)
        for name in result.methods
        if (stage := load_method(name).stage) is not None
    }
    return [
        f"{METHOD_TITLES[name]} stopped after {' and '.join(f'{step:,}' for step in found)} of "
        f"{steps:,} steps: {result.settings.patience} evaluations were not better."
        for name, steps in stages.items()
        if min(found := [each.step for each in result.methods[name].evaluations("last")]) < steps
    ]


def describe_choices(result: Result) -> list[str]:
    """Return a line with the hyperparameters of each method that the selection chose on val.

    For example, `Chosen on val: WiSE-FT alpha 0.5; AFR gamma 8, penalty 1 / gamma 4, penalty 1.`,
    with the different choices of the seeds in their order; no line if no method chooses.
    """
    parts = []
    for name, method in result.methods.items():
        chosen = [
            ", ".join(f"{key} {value:g}" for key, value in each.chosen.items())
            for each in method.evaluations(result.selection)
        ]
        if any(chosen):
            parts.append(f"{METHOD_TITLES[name]} {' / '.join(dict.fromkeys(chosen))}")
    return [f"Chosen on val: {'; '.join(parts)}."] if parts else []


def number(value: float) -> str:
    """Return a mean count as text: `12`, or `12.5` with one decimal if it is not an integer."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}"


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


def describe_trade(result: Result) -> str:
    """Return the sentences about the trade, which the result must have, instead of a verdict."""
    names = (result.trade.method, result.trade.over)
    title, reference = (method_title(name, result.cache.class_embeddings) for name in names)
    undecided = f"{reference} or {title}; val cannot decide, as it shares the correlations of train"
    return f"{undecided}. {result.trade.describe(title, reference)}"


def format_recommendation(result: Result) -> str:
    """Return a line with the recommendation and its reason.

    It starts with `Recommendation: use TITLE.`, or, with a trade, with the two methods that val
    cannot decide between, or with `Recommendation: none.` followed by the reason and a remedy.
    """
    head = result.recommended_head
    if result.recommendation is not None:
        title = method_title(result.recommendation.method, result.cache.class_embeddings)
        reason = f"{result.recommendation.reason}."
        if result.trade is not None:
            return f"Recommendation: {describe_trade(result)} {reason}"
        return f"Recommendation: use {title}. {reason}"
    if head is None:
        return (
            "Recommendation: none. Only methods without group labels are recommended; add for "
            "example --method erm --method cfr."
        )
    title = method_title(head[0], result.cache.class_embeddings)
    return (
        f"Recommendation: none. {title} is the only method without group labels, so there is "
        "nothing to compare it with; add for example --method erm --method cfr."
    )
