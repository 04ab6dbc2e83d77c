"""Maps of the embeddings before and after calibration."""

from collections.abc import Iterator

import numpy as np

from clip_cfr.cache.errors import error_context
from clip_cfr.cache.format.schema import SPLIT_NAMES
from clip_cfr.cache.runs.apply_head import apply_head
from clip_cfr.cache.wording import count_noun
from clip_cfr.calibrate.report.embeddings import MINIMUM_ROWS, embed_with, project_pair
from clip_cfr.calibrate.report.options import MAPS
from clip_cfr.calibrate.report.plots.embedding_map import Colouring, EmbeddingMap
from clip_cfr.calibrate.report.section import Section, paragraph
from clip_cfr.calibrate.report.source import RunSource

TITLE = "Embeddings before and after calibration"


def make(source: RunSource) -> Section:
    """Return the section with both maps, or with the reason why there are none."""
    reason = find_obstacle(source)
    if reason:
        return Section("map", TITLE, (paragraph(reason, "note"),))
    head, rows = source.calibrated_head, source.rows
    sample = rows.map_sample
    with error_context(source.cache_path, "the run belongs to another cache"):
        before = embed_with(rows.initial, sample.features)
        after = embed_with(head.arrays, sample.features)
    method = source.options.map_method
    maps = project_pair(before, after, method)
    ids = tuple(picture_ids(source))
    plot = EmbeddingMap(
        name="map",
        title=f"{MAPS[method]} of the embeddings; each point is an image",
        alt=f"{MAPS[method]} map of image embeddings.",
        before=maps[0],
        after=maps[1],
        titles=("before: CLIP", f"after: {source.title(head.method)}, seed {head.seed}"),
        ids=ids,
        splits=tuple(SPLIT_NAMES[each] for each in rows.splits[sample.rows]),
        colourings=tuple(make_colourings(source)),
        pictures=source.pictures.find(ids),
    )
    return Section("map", TITLE, (paragraph(describe_sample(source), "note"), plot))


def picture_ids(source: RunSource) -> Iterator[str]:
    """Yield the ids of the images in the map; none without a map."""
    if not find_obstacle(source):
        yield from (source.rows.ids[row] for row in source.rows.map_sample.rows)


def find_obstacle(source: RunSource) -> str:
    """Return a sentence on why there is no map; empty if there is one."""
    if source.rows is None:
        return f"No map. {source.missing}"
    if len(source.rows.map_sample.rows) < MINIMUM_ROWS:
        return f"No map: it needs at least {MINIMUM_ROWS} images (--rows)."
    if source.calibrated_head is None:
        return "No map: no method of this run changes the embeddings."
    return ""


def describe_sample(source: RunSource) -> str:
    """Return how many images of each split are in the map, and what distances mean."""
    rows = source.rows
    splits = rows.splits[rows.map_sample.rows]
    parts = [
        f"{(splits == code).sum():,} of {rows.count_rows(name):,} of the {name} split"
        for code, name in enumerate(SPLIT_NAMES)
    ]
    return (
        f"A sample of {count_noun(len(splits), 'image')}: {', '.join(parts)}; rows of the "
        "calibration set are drawn first within train. Neighbours are near in the embeddings; "
        "distances between far points and the axes have no meaning. Images of the training split "
        "fit better than those of test."
    )


def make_colourings(source: RunSource) -> Iterator[Colouring]:
    """Yield the ways to colour the map; the first is by group."""
    rows, head, cache = source.rows, source.calibrated_head, source.result.cache
    sample = rows.map_sample
    labels, groups = rows.labels[sample.rows], rows.groups[sample.rows]
    yield Colouring.same("group", tuple(source.group_names), groups)
    yield Colouring.same("class", cache.class_names, labels)
    if len(rows.attribute_names) > 1:
        attributes = groups % len(rows.attribute_names)
        yield Colouring.same("attribute", rows.attribute_names, attributes)
    initial = {**head.arrays, "bias": 0.0, **rows.initial}
    clip = {name: array for name, array in initial.items() if not name.startswith("adapter_")}
    wrong = [
        (apply_head(arrays, sample.features).argmax(axis=1) != labels).astype(int)
        for arrays in (clip, head.arrays)
    ]
    yield Colouring("right or wrong", ("right", "wrong"), *wrong)
    if source.run.calibration_rows:
        chosen = np.isin(sample.rows, source.run.calibration_rows["row"]).astype(int)
        names = ("other images", "calibration set of any seed")
        yield Colouring.same("calibration set", names, chosen)
    splits = rows.splits[sample.rows].astype(int)
    yield Colouring.same("split", SPLIT_NAMES, splits)
