"""A few rows of a data set, for a first try."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from clip_cfr.cache.format.schema import Rows
from clip_cfr.extract.manifest.manifest import ImageSource, Manifest


@dataclass(frozen=True)
class SomeImages:
    """The images of some rows of another source."""

    images: ImageSource
    rows: Int64[np.ndarray, " n"]

    def read(self, row: int) -> bytes | np.ndarray:
        """The image of the row, as the other source gives it."""
        return self.images.read(int(self.rows[row]))


def limited(manifest: Manifest, num_rows: int) -> Manifest:
    """The manifest with at most `num_rows` rows, in their order."""
    if num_rows >= len(manifest.rows):
        return manifest
    return with_rows(manifest, spread(manifest.rows, num_rows))


def with_rows(manifest: Manifest, chosen: Int64[np.ndarray, " m"]) -> Manifest:
    """The manifest of these rows, in their order."""
    images = SomeImages(manifest.images, chosen)
    return replace(manifest, rows=taken(manifest.rows, chosen), images=images)


def spread(rows: Rows, num_rows: int) -> Int64[np.ndarray, " m"]:
    """The numbers of rows that stand for all: the first of each group of each split, as many as
    its share, and one at least where `num_rows` allows it."""
    keys = np.stack([rows.splits, rows.labels, rows.attributes])
    _, cells, sizes = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    starts = np.cumsum(sizes) - sizes
    ranks = np.empty(len(rows), np.int64)
    ranks[np.argsort(cells, kind="stable")] = np.arange(len(rows)) - np.repeat(starts, sizes)
    by_share = np.argsort(ranks / sizes[cells], kind="stable")
    return np.sort(by_share[:num_rows])


def taken(rows: Rows, chosen: Int64[np.ndarray, " n"]) -> Rows:
    """Some rows of a manifest."""
    return Rows(
        ids=tuple(rows.ids[row] for row in chosen),
        labels=rows.labels[chosen],
        attributes=rows.attributes[chosen],
        splits=rows.splits[chosen],
        subjects=None if rows.subjects is None else rows.subjects[chosen],
    )
