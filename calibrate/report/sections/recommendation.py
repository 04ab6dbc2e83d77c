"""Which head to use, what it gains, whether that is beyond noise, and the signs of failure."""

import shlex

from clip_cfr.cache.runs.run import head_file
from clip_cfr.calibrate.comparison.notes import describe_trade, format_recommendation
from clip_cfr.calibrate.comparison.recommendation import REFERENCE
from clip_cfr.calibrate.comparison.tables import METRIC_TITLES
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.methods import METHOD_TITLES
from clip_cfr.calibrate.report.section import Section, bullet_list, escape, paragraph
from clip_cfr.calibrate.report.source import RunSource
from clip_cfr.calibrate.run_folder import run_name


def make(source: RunSource) -> Section:
    """Return the section on top of a run."""
    failures = [
        f"{METHOD_TITLES.get(name, name)} could not be fitted: {reason}"
        for name, reason in source.result.failures.items()
    ]
    warnings = [*source.result.warnings, *failures]
    parts = [
        f"<p class=verdict>{escape(verdict(source))}</p>",
        *(paragraph(each) for each in gain_sentences(source)),
        *head_line(source),
        "<h4>Signs of failure</h4>",
        bullet_list(warnings, "warnings") or paragraph("None was found."),
    ]
    return Section("recommendation", "Which head to use", tuple(parts))


def verdict(source: RunSource) -> str:
    """Return the recommendation in one short sentence."""
    recommendation = source.result.recommendation
    if recommendation is None:
        return "No head is recommended."
    if (trade := source.result.trade) is not None:
        return f"Use the head of {source.title(trade.over)} or of {source.title(trade.method)}."
    limit = ", as far as val can see" if source.result.is_blind_verdict else ""
    return f"Use the head of {source.title(recommendation.method)}{limit}."


def gain_sentences(source: RunSource) -> list[str]:
    """Return sentences on the gain of the recommended head, by validation and by test split."""
    recommendation = source.result.recommendation
    if recommendation is None:
        return [format_recommendation(source.result)]
    trade = [] if source.result.trade is None else [describe_trade(source.result)]
    return [*trade, f"{recommendation.reason}.", *test_sentence(source, source.compared_method)]


def test_sentence(source: RunSource, method: str) -> list[str]:
    """Return a sentence with the test accuracies of a method and of those to compare it with."""
    result = source.result
    metric = "worst_group" if result.cache.has_attributes else "worst_class"
    others = [each for each in ("zeroshot", REFERENCE) if each in result.methods and each != method]

    def describe(name: str) -> str:
        found = result.methods[name].mean(result.selection, "test")
        return (
            f"{format_per_cent(found[metric])} % in the {METRIC_TITLES[metric]} and "
            f"{format_per_cent(found['average'])} % on average"
        )

    compared = "".join(f"; {source.title(each)} has {describe(each)}" for each in others)
    return [f"On the test split {source.title(method)} has {describe(method)}{compared}."]


def head_line(source: RunSource) -> list[str]:
    """Return the file of the head to use, and of the other one with a trade; empty if none is."""
    head, trade = source.result.recommended_head, source.result.trade
    if head is None:
        return []
    heads = [head, *([] if trade is None else [(trade.method, source.result.seeds[0])])]
    files = (shlex.quote(str(source.directory / head_file(run_name(*each)))) for each in heads)
    shown = " or ".join(f"<code>{escape(file)}</code>" for file in files)
    return [f"<p>File of the head: {shown}</p>"]
