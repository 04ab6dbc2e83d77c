"""The test images that a head misclassifies with the highest confidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clip_cfr.calibrate.comparison.table import Table
from clip_cfr.calibrate.report.section import Section, escape, paragraph, table_html
from clip_cfr.calibrate.report.source import RunSource

SHOWN = 24


def make(source: RunSource) -> Section | None:
    """Return the section with the most confident errors; None without predictions."""
    errors = find_errors(source)
    if errors is None:
        return None
    method, seed = source.shown_head
    head = f"{source.title(method)}, seed {seed}"
    text = f"{head} misclassifies {errors.count:,} of {errors.tested:,} test images."
    if errors.count > SHOWN:
        text += f" Shown are the {SHOWN} with the highest probability of the wrong class."
    texts = (
        "image",
        "class",
        *(["attribute"] if source.result.cache.has_attributes else []),
        "predicted",
    )
    table = Table(
        title=(f"most confidently wrong test images of {head}",),
        header=(*texts, "probability in per cent"),
        rows=errors.rows,
        text_columns=len(texts),
    )
    parts = (
        paragraph(text),
        gallery(source, errors.rows),
        table_html(table) if errors.rows else "",
    )
    return Section("wrong-images", "Confident errors", parts)


def picture_ids(source: RunSource) -> Iterator[str]:
    """Yield the ids of the most confident errors; none without predictions."""
    errors = find_errors(source)
    yield from (row[0] for row in ([] if errors is None else errors.rows))


@dataclass(frozen=True)
class Errors:
    """Test images that a head misclassifies.

    Attributes:
        tested: number of test images.
        count: number of those that the head misclassifies.
        rows: id, class, attribute if the cache has some, predicted class and its probability in
            per cent of the most confident errors, at most `SHOWN`.
    """

    tested: int
    count: int
    rows: tuple[tuple[str, ...], ...]


def find_errors(source: RunSource) -> Errors | None:
    """Return the most confident errors of the head to use; None without its predictions."""
    method, seed = source.shown_head
    found = source.run.predictions
    name = f"{method}_seed{seed}"
    if name not in found:
        return None
    tested = np.flatnonzero(found["split"] == "test")
    # A column of names that are all numbers is read as numbers.
    predicted, labels = (found[each].astype(str) for each in (name, "label"))
    wrong = tested[predicted[tested] != labels[tested]]
    classes = len(source.result.cache.class_names)
    confidence = np.max([found[f"{name}_p{each}"] for each in range(classes)], axis=0)
    shown = wrong[np.argsort(-confidence[wrong], kind="stable")[:SHOWN]]
    rows = tuple(
        (
            str(found["id"][index]),
            labels[index],
            *([str(found["attribute"][index])] if source.result.cache.has_attributes else []),
            predicted[index],
            f"{100 * confidence[index]:.1f}",
        )
        for index in shown
    )
    return Errors(len(tested), len(wrong), rows)


def gallery(source: RunSource, rows: Sequence[tuple[str, ...]]) -> str:
    """Return the small pictures of images with their classes; empty without pictures.

    Args:
        source: the run.
        rows: as in `Errors`.
    """
    pictures = source.pictures.find(row[0] for row in rows)
    items = "".join(
        f'<li><img src="{pictures[name]}" alt="{escape(name)}">'
        f"<span>{escape(', '.join(group))} → {escape(predicted)}</span></li>"
        for name, *group, predicted, _ in rows
        if name in pictures
    )
    return f"<ul class=gallery>{items}</ul>" if items else ""
