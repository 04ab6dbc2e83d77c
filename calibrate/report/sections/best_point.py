"""The best point of a grid, what it gains, and the command that calibrates with it."""

from clip_cfr.calibrate.comparison.titles import format_settings, method_title
from clip_cfr.calibrate.grid.table import format_accuracy
from clip_cfr.calibrate.report.section import Section, command_line, escape, paragraph
from clip_cfr.calibrate.report.source import GridSource


def make(source: GridSource) -> Section:
    """Return the section on top of a grid."""
    result = source.result
    best = result.best
    if best is None:
        reason = result.points[0].reason if result.points else "it has no points"
        return Section("best", "Best point", (paragraph(f"No point is complete: {reason}."),))
    title = method_title(best.method, result.class_embeddings)
    settings = format_settings(best.settings) or "the fixed settings"
    parts = (
        f"<p class=verdict>{escape(f'Best point: {title} with {settings}.')}</p>",
        paragraph(describe_gain(source)),
        paragraph(result.note, "note"),
        paragraph("This command calibrates with it:"),
        command_line(result.best_command),
    )
    return Section("best", "Best point", parts)


def describe_gain(source: GridSource) -> str:
    """Return a sentence with the accuracies of the best point and of the references."""
    result, best = source.result, source.result.best
    others = [
        f"{method_title(each.method, result.class_embeddings)} has "
        f"{format_accuracy(each.val, result.metric)} % and "
        f"{format_accuracy(each.test, 'worst_group')} %"
        for each in result.references
        if each.state == "complete"
    ]
    return (
        f"It has {format_accuracy(best.val, result.metric)} % validation {result.criterion} "
        f"accuracy and {format_accuracy(best.test, 'worst_group')} % in the {result.worst} "
        f"of the test split"
        f"{''.join(f'; {each}' for each in others)}."
    )
