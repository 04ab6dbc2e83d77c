"""Words and slices of the images that ERM and the recommended head misclassify."""

import shlex
from collections.abc import Iterator, Sequence

from clip_cfr.cache.console import program_name
from clip_cfr.calibrate.comparison.table import Table
from clip_cfr.calibrate.comparison.titles import format_per_cent
from clip_cfr.calibrate.explain.result import ClassErrorsExplained, Explanation, Slice, WordFinding
from clip_cfr.calibrate.explain.table import DIFFERENCE_NOTE, NAMES_CLASS, SLICES_NOTE
from clip_cfr.calibrate.report.explained import SPLIT
from clip_cfr.calibrate.report.section import (
    Section,
    command_line,
    details,
    escape,
    paragraph,
    table_html,
)
from clip_cfr.calibrate.report.source import RunSource

# Classes, and slices, of each head.
SHOWN = 24


def make(source: RunSource) -> Section:
    """Return the section; with one sentence that says why if the errors cannot be explained."""
    return Section(
        "errors-in-words", "What misclassified images have in common", tuple(make_parts(source))
    )


def make_parts(source: RunSource) -> Iterator[str]:
    """Yield the contents: counts before and after, words and slices of each, the command."""
    found = source.explained.found
    if not found:
        yield paragraph(source.explained.reason, "note")
        return
    yield table_html(errors_table(source, found))
    before, *after = found
    if not before.num_words:
        yield paragraph(f"{before.statement}.")
    yield from explanation_parts(source, before)
    for each in after:
        contents = "".join(explanation_parts(source, each))
        if contents:
            yield details(f"The errors of {head_title(source, each)}", contents)
    yield from command_parts(before)
    if before.num_words and source.run.calibration_rows:
        yield paragraph("Describe the training errors that CFR learns from, which are often more:")
        yield command_line(f"{program_name()} {shlex.join(train_command(source))}")


def picture_ids(source: RunSource) -> Iterator[str]:
    """Yield the ids of the images nearest to the centres of the slices shown."""
    for explanation in source.explained.found:
        for each in explanation.slices[:SHOWN]:
            yield from each.nearest


def head_title(source: RunSource, found: Explanation) -> str:
    """Return method and seed of an explanation, as `ERM, seed 0`."""
    return f"{source.title(found.method)}, seed {found.seed}"


def errors_table(source: RunSource, found: Sequence[Explanation]) -> Table:
    """Return the misclassified images of each class, by explained head."""
    classes = found[0].classes
    shown = most_errors(classes)
    limit = f"; {len(shown)} of {len(classes):,} classes: those with the most errors"
    return Table(
        title=(f"misclassified images of the {SPLIT} split{limit * (len(shown) < len(classes))}",),
        header=("class", "images", *(head_title(source, each) for each in found)),
        rows=tuple(
            (
                classes[index].label,
                f"{classes[index].images:,}",
                *(f"{each.classes[index].errors:,}" for each in found),
            )
            for index in shown
        ),
    )


def most_errors(classes: Sequence[ClassErrorsExplained]) -> list[int]:
    """Return the indices of the at most `SHOWN` classes with the most errors, ascending."""
    return sorted(sorted(range(len(classes)), key=lambda index: -classes[index].errors)[:SHOWN])


def explanation_parts(source: RunSource, found: Explanation) -> Iterator[str]:
    """Yield the statement, the tables of words of each class, and the slices with pictures.

    The statement on a cache without words is left out.
    """
    if not any(each.errors for each in found.classes):
        yield paragraph(f"{head_title(source, found)} misclassifies no image of the {SPLIT} split.")
        return
    if found.num_words:
        yield paragraph(f"{found.statement}.")
    tables = [words_table(source, found, found.classes[i]) for i in most_errors(found.classes)]
    shown = [each for each in tables if each.rows]
    yield from map(table_html, shown)
    if shown:
        yield paragraph(DIFFERENCE_NOTE, "note")
    if found.slices:
        yield table_html(slices_table(source, found))
        yield from (gallery(source, each) for each in found.slices[:SHOWN])


def words_table(source: RunSource, found: Explanation, errors: ClassErrorsExplained) -> Table:
    """Return the words that stand out in a class; without rows if there are none.

    The column of remarks is left out if there are none.
    """
    sides = (("wrong", errors.wrong_words), ("right", errors.right_words))
    words = [(side, each) for side, words in sides for each in words]
    remarks = any(each.names_class is not None for _, each in words)
    texts = ("word", "nearer to", *(["remark"] if remarks else []))
    return Table(
        title=(f"{errors.label}: words that stand out, {head_title(source, found)}",),
        header=(*texts, "difference", "p", "nearest quarter, per cent"),
        rows=tuple(
            (
                each.word,
                f"{side} images",
                *([remark(each)] if remarks else []),
                f"{each.difference:+.3f} [{each.interval[0]:+.3f}, {each.interval[1]:+.3f}]",
                f"{each.p_value:.3f}",
                format_per_cent(each.nearest_accuracy),
            )
            for side, each in words
        ),
        text_columns=len(texts),
    )


def remark(found: WordFinding) -> str:
    """Return that a word names a class, or an empty text."""
    return "" if found.names_class is None else NAMES_CLASS.format(name=found.names_class)


def slices_table(source: RunSource, found: Explanation) -> Table:
    """Return the slices, with their size and the accuracy of every method in per cent."""
    shown = found.slices[:SHOWN]
    limit = f"; {len(shown)} of {len(found.slices):,} slices: the worst ones"
    return Table(
        title=(
            f"slices of the {SPLIT} split, with accuracies in per cent"
            f"{limit * (len(shown) < len(found.slices))}",
        ),
        header=("class", "words", "images", *map(source.title, found.methods)),
        rows=tuple(
            (
                each.label,
                ", ".join(each.words) or "-",
                f"{each.images:,}",
                *(format_per_cent(each.accuracies[name]) for name in found.methods),
            )
            for each in shown
        ),
        text_columns=2,
        notes=(SLICES_NOTE.format(method=source.title(found.method)),),
    )


def gallery(source: RunSource, found: Slice) -> str:
    """Return the pictures of the images nearest to a slice's centre; empty without pictures."""
    pictures = source.pictures.find(found.nearest)
    items = "".join(
        f'<li><img src="{url}" alt="{escape(name)}"></li>' for name, url in pictures.items()
    )
    title = ": ".join(filter(None, (found.label, ", ".join(found.words))))
    return f"{paragraph(title, 'note')}<ul class=gallery>{items}</ul>" if items else ""


def train_command(source: RunSource) -> list[str]:
    """Return the words of the command that explains the errors on the training split."""
    return ["explain", "--run", str(source.directory), "--split", "train"]


def command_parts(found: Explanation) -> Iterator[str]:
    """Yield the command that calibrates with the attribute that the words suggest, if any."""
    if found.command is not None:
        yield paragraph("Calibrate with the attribute that the words suggest:")
        yield command_line(found.command)
