"""Selection of manifest rows by index."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from clip_cfr.cache.format.schema import Rows
from clip_cfr.extract.manifest.image_source import SelectedImages
from clip_cfr.extract.manifest.manifest import Manifest


def select_rows(manifest: Manifest, indices: Int64[np.ndarray, " m"]) -> Manifest:
    """Return a manifest with only the rows at `indices`, in the order of `indices`.

    Images are selected with the rows; names, prompts and warnings stay.
    """
    images = SelectedImages(manifest.images, indices)
    return replace(manifest, rows=take_rows(manifest.rows, indices), images=images)


def take_rows(rows: Rows, indices: Int64[np.ndarray, " m"]) -> Rows:
    """Return `Rows` with only the rows at `indices`, in the order of `indices`."""
    return Rows(
        ids=tuple(rows.ids[index] for index in indices),
        labels=rows.labels[indices],
        attributes=rows.attributes[indices],
        splits=rows.splits[indices],
        subjects=None if rows.subjects is None else rows.subjects[indices],
    )
