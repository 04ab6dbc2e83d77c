"""Tables of accuracy by group, and by groups named in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from clip_cfr.calibrate.comparison.result import Result
from clip_cfr.calibrate.comparison.table import Table
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.core.named_groups import FEW_ROWS
from clip_cfr.calibrate.named.request import WordAttribute
from clip_cfr.calibrate.named.sentences import describe_left_out
from clip_cfr.calibrate.named.summary import SplitSummary

FEW_ROWS_NOTE = f"* fewer than {FEW_ROWS} images: the accuracy of this group is uncertain."


def groups_table(result: Result) -> Table:
    """Return test accuracy in per cent in every group, with one column for each method.

    The first columns are class, attribute and number of rows of the group; if the images have no
    attribute, class and number of rows. Groups with some, but fewer than `FEW_ROWS` rows are
    marked.
    """
    columns = [each.mean(result.selection, "test")["groups"] for each in result.methods.values()]
    by, headings = "class", {"label": "class"}
    if result.cache.has_attributes:
        by, headings = "group", {**headings, "attribute": "attribute"}
    title = (f"accuracy by {by}, on the test split, in per cent",)
    return cells_table(title, headings, result.titles, columns)


def cells_table(
    title: tuple[str, ...],
    headings: Mapping[str, str],
    methods: Sequence[str],
    columns: Sequence[Sequence[Mapping[str, Any]]],
) -> Table:
    """Return a table of accuracies in groups, of which those with few rows are marked.

    Args:
        title: lines above it.
        headings: title of a column by the entry of a group that it shows.
        methods: titles of the methods.
        columns: the groups of each method, with `n`, `accuracy` and, over seeds, `accuracy_std`.
    """
    rows = tuple(
        (
            *(cells[0][key] for key in headings),
            mark_few(cells[0]["n"]),
            *(format_per_cent(cell["accuracy"], cell.get("accuracy_std")) for cell in cells),
        )
        for cells in zip(*columns, strict=True)
    )
    header = (*headings.values(), "n", *methods)
    count = len(headings)
    return Table(title, header, rows, text_columns=count, notes=few_rows_note(rows, count))


def mark_few(n: int) -> str:
    """Return a number of rows as text, with a star if there are some, but few."""
    return f"{n}{'*' if 0 < n < FEW_ROWS else ''}"


def few_rows_note(rows: Sequence[Sequence[str]], column: int) -> tuple[str, ...]:
    """Return the note on marked groups; none if no row of a table is marked in its column of n."""
    return (FEW_ROWS_NOTE,) if any(row[column].endswith("*") for row in rows) else ()


def named_tables(result: Result) -> list[Table]:
    """Return the tables of each attribute named in words: accuracies, and agreement if known."""
    if result.named is None:
        return []
    tables = []
    for attribute, splits in zip(result.named.attributes, result.named.splits, strict=True):
        columns = named_columns(result, attribute)
        tables.append(
            named_groups_table(
                attribute, splits["test"], result.named.margin, result.titles, columns
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
    return cells_table(tuple(title), {"label": "class", "value": "named value"}, methods, columns)


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
