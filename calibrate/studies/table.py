"""The points of a study as a table, with the answer below it."""

from clip_cfr.calibrate.comparison.formats import for_terminal
from clip_cfr.calibrate.comparison.notes import INFERRED_GROUPS, selection_notes
from clip_cfr.calibrate.comparison.table import Table
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.studies.result import CacheAnswer, StudyResult
from clip_cfr.calibrate.studies.sentences import format_gain
from clip_cfr.calibrate.studies.study import keep_points


def render_study(result: StudyResult):
    """Return a renderable of rich with a table for each cache, and the answers below."""
    tables = [answer_table(result, each) for each in result.answers]
    return for_terminal(tables, notes(result))


def answer_table(result: StudyResult, answer: CacheAnswer) -> Table:
    """Return the table of one cache: a row for each point that could be fitted."""
    data, seeds = answer.data, len(result.seeds)
    return Table(
        title=(
            f"{answer.dataset}: {result.study.name}, accuracy in per cent",
            f"seeds: {seeds}; differences on test in points from {answer.reference}, with "
            "intervals that hold together at 95 %",
        ),
        header=(
            "point",
            f"val {data.selection}",
            f"test {data.judged_by}",
            "difference",
            "calibration rows",
            "minority",
        ),
        rows=tuple(format_cells(answer, label) for label in data.fitted()),
        text_columns=1,
    )


def format_cells(answer: CacheAnswer, label: str) -> tuple[str, ...]:
    """Return the cells of a point; `-` where there is no value."""
    data = answer.data
    has_set = data.points[label].set_groups is not None
    return (
        label,
        format_per_cent(data.val_accuracy(label)),
        format_per_cent(data.accuracy(label)),
        format_gain(answer.gains[label]) if label in answer.gains else "-",
        f"{data.points[label].set_size:,.0f}" if has_set else "-",
        format_per_cent(data.minority_share(label)) if has_set and data.has_groups else "-",
    )


def notes(result: StudyResult) -> list[str]:
    """Return the lines below the tables: points without a result, answers, and criteria."""
    several = len(result.answers) > 1
    lines = [result.question]
    for answer in result.answers:
        prefix = f"{answer.data.cache}: " if several else ""
        lines += [f"{prefix}{' '.join(answer.sentences)}"]
        lines += [
            f"{prefix}{label} is left out: {reason}" for label, reason in answer.left_out.items()
        ]
        lines += [
            f"{prefix}{each.label} could not be fitted: {each.reason}"
            for each in answer.data.points.values()
            if each.reason
        ]
    # A study of criteria has rows of inferred groups, whatever its settings select by.
    criterion = result.settings.selection if result.study.expand is keep_points else INFERRED_GROUPS
    return [*lines, *selection_notes(criterion), describe_selection(result)]


def describe_selection(result: StudyResult) -> str:
    """Return the sentence on the criterion that selects the heads."""
    if result.study.expand is not keep_points:
        return "Each row names the criterion that selects its heads; none uses test."
    selection = result.settings.selection
    if selection == "last":
        return "Heads are those of the last step."
    oracle = ", which uses group labels (an oracle)" if selection == "worst-group" else ""
    return f"Heads are selected by val {selection}{oracle}; never on test."
