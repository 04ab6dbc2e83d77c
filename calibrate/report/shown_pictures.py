"""Which images of the runs get the pictures of a report, which are limited in number."""

from collections.abc import Iterable, Sequence

from clip_cfr.calibrate.report.sections import embedding_map, errors_in_words, wrong_images
from clip_cfr.calibrate.report.source import GridSource, RunSource

# In the order in which images get pictures until the limit is reached.
KINDS = {
    "of slices": errors_in_words.picture_ids,
    "of confident errors": wrong_images.picture_ids,
    "of the map": embedding_map.picture_ids,
}


def take_pictures(sources: Iterable[RunSource | GridSource]) -> None:
    """Take the pictures of all runs: of slices first, then of confident errors, then of the map."""
    runs: Sequence[RunSource] = [each for each in sources if isinstance(each, RunSource)]
    for kind, picture_ids in KINDS.items():
        for run in runs:
            run.pictures.take(picture_ids(run), kind)
