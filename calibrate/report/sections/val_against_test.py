"""Validation accuracy against test accuracy of the points of a grid."""

from scipy.stats import spearmanr

from clip_cfr.calibrate.comparison.titles import method_title
from clip_cfr.calibrate.grid.point_result import PointResult
from clip_cfr.calibrate.report.grid_points import complete_points, name_points, per_cent
from clip_cfr.calibrate.report.plots.points import Points, Series
from clip_cfr.calibrate.report.section import Section, paragraph
from clip_cfr.calibrate.report.source import GridSource


def make(source: GridSource) -> Section | None:
    """Return the section that shows whether validation predicts test; None without points."""
    result = source.result
    points = complete_points(result)
    if not points:
        return None
    references = [each for each in result.references if each.state == "complete"]
    named = {"points": points, "references": references}
    if len(result.methods) > 1:
        named = {
            method_title(name, result.class_embeddings): complete_points(result, name)
            for name in result.methods
        } | {"references": references}

    def series(points: list[PointResult], name: str) -> Series:
        names = name_points(result, points)
        if name == "references":
            names = tuple(method_title(each.method, result.class_embeddings) for each in points)
        return Series(
            x=tuple(per_cent(each, "val", result.metric) for each in points),
            y=tuple(per_cent(each, "test", "worst_group") for each in points),
            names=names,
        )

    plot = Points(
        name="val-against-test",
        title="Validation against test, in per cent",
        alt=f"Points of test {result.worst} accuracy over validation accuracy.",
        series={name: series(each, name) for name, each in named.items() if each},
        x_title=f"val {result.criterion}",
        y_title=f"test {result.worst}",
    )
    text = paragraph(describe_agreement(source, points), "note")
    return Section("val-against-test", "Validation against test", (text, plot))


def describe_agreement(source: GridSource, points: list[PointResult]) -> str:
    """Return a sentence on the rank correlation of validation and test."""
    metric = source.result.metric
    pairs = [
        (per_cent(each, "val", metric), per_cent(each, "test", "worst_group")) for each in points
    ]
    known = [pair for pair in pairs if None not in pair]
    columns = list(zip(*known, strict=True))
    if len(known) < 3 or any(len(set(column)) < 2 for column in columns):
        return "Too few different points for a rank correlation."
    rank = spearmanr(*columns).statistic
    return (
        f"Rank correlation (Spearman) over {len(known)} points: {rank:.2f}. Near 1, the choice by "
        "validation accuracy is also a good choice on the test split; near 0 it is not."
    )
