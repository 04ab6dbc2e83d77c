"""Cosine similarities between centroids, before and after calibration."""

import numpy as np

from clip_cfr.cache.errors import error_context
from clip_cfr.cache.wording import count_noun
from clip_cfr.calibrate.report.embeddings import centroid_cosines, embed_with
from clip_cfr.calibrate.report.plots.heat_maps import HeatMaps
from clip_cfr.calibrate.report.section import Section, paragraph
from clip_cfr.calibrate.report.source import RunSource

SHOWN = 24
TITLE = "Similarity of classes"


def make(source: RunSource) -> Section | None:
    """Return the section with the cosines between the centroids of classes, and of groups.

    None if no method of the run changes the embeddings.
    """
    if source.rows is None:
        return Section("centroids", TITLE, (paragraph(f"Left out. {source.missing}", "note"),))
    if source.calibrated_head is None or not len(source.rows.centroid_sample.rows):
        return None
    rows, names = source.rows, source.result.cache.class_names
    sample = rows.centroid_sample
    pairs = [("classes", names, rows.labels)]
    if len(rows.attribute_names) > 1:
        pairs.append(("groups", tuple(source.group_names), rows.groups))
    with error_context(source.cache_path, "the run belongs to another cache"):
        embeddings = {
            "before: CLIP": embed_with(rows.initial, sample.features),
            f"after: {source.title(source.calibrated_head.method)}": embed_with(
                source.calibrated_head.arrays, sample.features
            ),
        }
    plots = [
        plot_cosines(noun, each, members[sample.rows], embeddings) for noun, each, members in pairs
    ]
    note = (
        f"Means over {len(sample.rows):,} of {count_noun(rows.count_rows('test'), 'test image')}. "
        "Calibration helps if the groups of one class come near each other and classes go apart."
    )
    return Section("centroids", TITLE, (paragraph(note, "note"), *plots))


def plot_cosines(
    noun: str, names: tuple[str, ...], members: np.ndarray, embeddings: dict[str, np.ndarray]
) -> HeatMaps:
    """Return heat maps of the cosines between the first `SHOWN` centroids, before and after."""
    shown = names[:SHOWN]
    limit = f" (the first {SHOWN} of {len(names)})" if len(names) > SHOWN else ""
    values = {
        title: centroid_cosines(each, members, len(names))[:SHOWN, :SHOWN]
        for title, each in embeddings.items()
    }
    return HeatMaps(
        name=f"centroids-{noun}",
        title=f"Cosine similarity between the centroids of {noun}{limit}",
        alt=f"Heat maps of cosine similarities between {noun}, before and after calibration.",
        columns=shown,
        rows=shown,
        values=values,
        x_title="",
        y_title="",
        unit="cosine",
    )
