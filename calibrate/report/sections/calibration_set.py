"""The calibration set by group, beside the training split."""

from clip_cfr.calibrate.comparison.notes import describe_calibration_set, number
from clip_cfr.calibrate.comparison.table import Table
from clip_cfr.calibrate.report.plots.bars import Bars
from clip_cfr.calibrate.report.section import Section, paragraph, table_html
from clip_cfr.calibrate.report.source import RunSource

SHOWN_GROUPS = 24
TITLE = "Calibration set"


def make(source: RunSource) -> Section | None:
    """Return the section on the calibration set; None if the run has none."""
    summary = source.result.calibration_set
    if summary is None:
        return None
    text = paragraph(describe_calibration_set(source.result))
    if source.rows is None:
        missing = f"The training split is left out. {source.missing}"
        return Section("calibration-set", TITLE, (text, paragraph(missing, "note")))
    train = source.rows.count_groups("train", len(source.group_names))
    return Section(
        "calibration-set",
        TITLE,
        (text, table_html(count_table(source, train)), plot_shares(source, train)),
    )


def count_table(source: RunSource, train: list[int]) -> Table:
    """Return the numbers of rows of each group in the calibration set and the training split."""
    chosen = source.result.calibration_set.per_group
    rows = [
        (name, number(count), f"{total:,}", f"{100 * count / total:.1f}" if total else "-")
        for name, count, total in zip(source.group_names, chosen, train, strict=True)
    ]
    return Table(
        title=("images of each group",),
        header=("group", "calibration set", "training split", "chosen, in per cent"),
        rows=tuple(rows),
    )


def plot_shares(source: RunSource, train: list[int]) -> Bars:
    """Return bars of the share of each group in the calibration set and the training split."""
    chosen = source.result.calibration_set.per_group
    largest = sorted(range(len(train)), key=lambda index: -max(chosen[index], 0))[:SHOWN_GROUPS]
    shown = sorted(largest)
    limit = f"; {SHOWN_GROUPS} of {len(train)} groups" if len(train) > SHOWN_GROUPS else ""

    def shares(counts) -> tuple[float, ...]:
        total = max(sum(counts), 1)
        return tuple(100 * counts[index] / total for index in shown)

    return Bars(
        name="calibration-set",
        title=f"Share of each group, in per cent{limit}",
        alt="Bars of the share of each group in the calibration set and in the training split.",
        categories=tuple((source.group_names[index],) for index in shown),
        series={"training split": shares(train), "calibration set": shares(chosen)},
        whiskers={},
        unit="share in per cent",
    )
