"""Which images get a picture, as pictures are limited in number."""

from dataclasses import replace

import pytest

from clip_cfr.calibrate.report.options import ReportOptions
from clip_cfr.calibrate.report.pictures import Pictures
from clip_cfr.calibrate.report.sections.wrong_images import find_errors
from clip_cfr.calibrate.report.shown_pictures import take_pictures
from clip_cfr.calibrate.report.source import read_source


@pytest.fixture(scope="module")
def source(reported):
    return read_source(reported.run, ReportOptions(rows=120), Pictures(None, 0))


def take(source, root, limit: int) -> Pictures:
    """Return the pictures of a run, at most `limit`."""
    pictures = Pictures(root, limit)
    take_pictures([replace(source, pictures=pictures)])
    return pictures


def test_slices_have_pictures_first_then_confident_errors_then_the_map(source, reported):
    rows = source.rows.map_sample.rows
    by_kind = {
        "of slices": [n for e in source.explained.found for s in e.slices for n in s.nearest],
        "of confident errors": [row[0] for row in find_errors(source).rows],
        "of the map": [source.rows.ids[row] for row in rows],
    }
    wanted = {name: kind for kind, names in reversed(by_kind.items()) for name in names}
    have = [n for names in by_kind.values() for n in names if (reported.images / n).is_file()]
    order = list(dict.fromkeys(have))
    counts = {kind: sum(wanted[name] == kind for name in order) for kind in by_kind}
    assert min(counts.values()) > 2
    for limit in (2, counts["of slices"] + 2, 1000):
        pictures = take(source, reported.images, limit)
        assert list(pictures.urls) == order[:limit]
        parts = ", ".join(f"{count} {kind}" for kind, count in pictures.counts.items())
        start = f"Pictures on this page: {len(order[:limit])} of at most {limit}: {parts}"
        assert pictures.describe().startswith(start)
    assert pictures.counts == counts


def test_without_a_root_there_are_no_pictures(source):
    pictures = take(source, None, 0)
    assert (pictures.urls, pictures.missing, pictures.describe()) == ({}, 0, "")
