"""An explanation as tables for the terminal."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from clip_cfr.cache.wording import count_noun
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.explain.result import (
    ClassErrorsExplained,
    Explanation,
    NamedAccuracies,
    Slice,
    WordFinding,
)
from clip_cfr.calibrate.methods import METHOD_TITLES
from clip_cfr.calibrate.named.sentences import describe_agreement, describe_left_out

DIFFERENCE_NOTE = (
    "difference: mean cosine of wrong less right images under CLIP's own projection, without the "
    "directions in which the class embeddings differ; with 95 % interval. p: corrected for all "
    "words and classes. nearest quarter: accuracy in the quarter of the class nearest to the word."
)
SLICES_NOTE = (
    "slices: found with the errors of {method} on these images, so {method} looks somewhat worse "
    "in them, and other methods better, than on new images."
)
TITLES = {**METHOD_TITLES, "identification": "the identification head"}
NAMES_CLASS = "names the class {name}"


def render_explanation(explanation: Explanation) -> Group:
    """Return the tables of words, the table of slices, and the statement, as a rich renderable."""
    title = TITLES.get(explanation.method, explanation.method)
    head = (
        f"{explanation.dataset}: errors of {title}, seed {explanation.seed}, on the "
        f"{explanation.split} split"
    )
    parts = [head, *(part for each in explanation.classes for part in render_class(each))]
    if any(each.num_standing_out for each in explanation.classes):
        parts.append(DIFFERENCE_NOTE)
    parts += [part for each in explanation.named for part in render_named(explanation, each)]
    if explanation.slices:
        parts += [render_slices(explanation), SLICES_NOTE.format(method=title)]
    return Group(*parts, f"{explanation.statement}.")


def render_class(found: ClassErrorsExplained) -> Iterator[Table | str]:
    """Yield the line of a class, and the tables of its words if some stand out."""
    accuracy = "" if not found.images else f", accuracy {format_per_cent(accuracy_of(found))} %"
    line = f"{found.label}: {found.errors:,} of {count_noun(found.images, 'image')} wrong{accuracy}"
    why = found.untested or ("" if found.num_standing_out else "no word stands out")
    yield f"{line}{f'; {why}' if why and found.errors else ''}"
    for side, findings in (("wrong", found.wrong_words), ("right", found.right_words)):
        if findings:
            yield render_words(side, findings)


def accuracy_of(found: ClassErrorsExplained | Slice) -> float:
    """Return the accuracy of the explained method in a class or a slice with images."""
    return 1 - found.errors / found.images


def render_words(side: str, findings: tuple[WordFinding, ...]) -> Table:
    """Return the table of the words of the wrong or of the right images of a class."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column(f"nearer to {side} images")
    for name in ("difference", "p", "nearest quarter"):
        table.add_column(name, justify="right")
    table.add_column("")
    for each in findings:
        low, high = each.interval
        table.add_row(
            each.word,
            f"{each.difference:+.3f} [{low:+.3f}, {high:+.3f}]",
            f"{each.p_value:.3f}",
            format_per_cent(each.nearest_accuracy),
            "" if each.names_class is None else NAMES_CLASS.format(name=each.names_class),
        )
    return table


def render_named(explanation: Explanation, found: NamedAccuracies) -> Iterator[Table | str]:
    """Yield the table of the groups of an attribute named in words, and lines about its values."""
    title = f"groups named in words ({found.attribute}), with accuracies in per cent"
    table = Table(title=title, box=SIMPLE_HEAD)
    for name in ("class", "named value"):
        table.add_column(name)
    for name in ("n", *(TITLES.get(each, each) for each in explanation.methods)):
        table.add_column(name, justify="right")
    for each in found.groups:
        cells = (format_per_cent(each.accuracies[name]) for name in explanation.methods)
        table.add_row(each.label, each.value, f"{each.images:,}", *cells)
    yield table
    if found.margin:
        yield f"{describe_left_out(explanation.split, found.summary, found.margin)}."
    if found.summary.groups:
        yield from describe_agreement(explanation.split, found.summary)


def render_slices(explanation: Explanation) -> Table:
    """Return the table of slices, with the accuracy of every method in per cent."""
    table = Table(title="slices, with accuracies in per cent", box=SIMPLE_HEAD)
    for name in ("class", "words"):
        table.add_column(name)
    for name in ("n", *(TITLES.get(each, each) for each in explanation.methods)):
        table.add_column(name, justify="right")
    table.add_column("nearest image")
    for each in explanation.slices:
        cells = (format_per_cent(each.accuracies[name]) for name in explanation.methods)
        words = ", ".join(each.words) or "-"
        table.add_row(each.label, words, f"{each.images:,}", *cells, each.nearest[0])
    return table
