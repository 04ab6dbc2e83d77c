"""Test accuracy by group named in words, methods side by side."""

from collections.abc import Iterator

from clip_cfr.calibrate.comparison.group_tables import named_columns
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.named.request import WordAttribute
from clip_cfr.calibrate.named.sentences import describe_agreement, describe_left_out
from clip_cfr.calibrate.named.summary import SplitSummary
from clip_cfr.calibrate.report.plots.bars import Bars
from clip_cfr.calibrate.report.section import Section, paragraph
from clip_cfr.calibrate.report.sections.groups import limits, plot_groups
from clip_cfr.calibrate.report.source import RunSource


def make(source: RunSource) -> Section | None:
    """Return the section with bars for each attribute named in words; None without any."""
    named = source.result.named
    if named is None:
        return None
    parts = [
        part
        for number, attribute in enumerate(named.attributes, 1)
        for part in attribute_parts(source, attribute, number)
    ]
    return Section("named-groups", "Accuracy by groups named in words", tuple(parts))


def attribute_parts(
    source: RunSource, attribute: WordAttribute, number: int
) -> Iterator[str | Bars]:
    """Yield the description of the groups of one attribute, and their bars.

    Args:
        source: the run.
        attribute: the attribute.
        number: its number among the attributes of the run, from 1.
    """
    named = source.result.named
    split = named.splits[number - 1]["test"]
    yield paragraph(describe_groups(attribute, split, named.margin), "note")
    yield from limits(len(source.result.cache.class_names) * len(attribute.values), source.result)
    yield plot_attribute(source, attribute, split, number)


def describe_groups(attribute: WordAttribute, split: SplitSummary, margin: float) -> str:
    """Return sentences on the source of the groups, and on their agreement if it is known."""
    lines = [
        f"Groups named in words ({attribute.name}): class and the value whose text embedding is "
        "most similar to the image embedding."
    ]
    if margin:
        lines.append(f"{describe_left_out('test', split, margin)}.")
    return " ".join([*lines, *describe_agreement("test", split)])


def plot_attribute(
    source: RunSource, attribute: WordAttribute, split: SplitSummary, number: int
) -> Bars:
    """Return the bars of the groups of one attribute; see `attribute_parts`."""
    result = source.result
    cells = dict(zip(result.titles, named_columns(result, attribute), strict=True))
    groups = next(iter(cells.values()))
    agreement = "" if split.agreement is None else f"; agreement {format_per_cent(split.agreement)}"
    several = len(result.named.attributes) > 1
    return plot_groups(
        source,
        cells,
        [(each["label"], each["value"]) for each in groups],
        name=f"named-groups-{number}" if several else "named-groups",
        title=f"Accuracy by groups named in words ({attribute.name}{agreement}) on the test split, "
        "in per cent",
    )
