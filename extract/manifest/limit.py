"""A small representative subset of a manifest, for a first try (`extract --limit`)."""

import numpy as np
from jaxtyping import Int64

from clip_cfr.cache.format.schema import Rows
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.manifest.select import select_rows


def limit_rows(manifest: Manifest, num_rows: int) -> Manifest:
    """Return the manifest with only `num_rows` rows, spread over splits and groups.

    Rows keep their order. The manifest itself is returned if it has no more rows than that. See
    `choose_spread_rows` for the selection.
    """
    if num_rows >= len(manifest.rows):
        return manifest
    return select_rows(manifest, choose_spread_rows(manifest.rows, num_rows))


def choose_spread_rows(rows: Rows, num_rows: int) -> Int64[np.ndarray, " num_rows"]:
    """Return the indices of `num_rows` rows, spread over the cells (split, label, attribute).

    Indices ascend. Each cell contributes its first rows, in proportion to its size, and at least
    one row if there are at most `num_rows` cells. All indices are returned if there are fewer rows.
    """
    keys = np.stack([rows.splits, rows.labels, rows.attributes])
    _, cells, sizes = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    starts = np.cumsum(sizes) - sizes
    # The position of each row within its cell; divided by the size of the cell, it is the share of
    # the cell that precedes the row.
    ranks = np.empty(len(rows), np.int64)
    ranks[np.argsort(cells, kind="stable")] = np.arange(len(rows)) - np.repeat(starts, sizes)
    by_share = np.argsort(ranks / sizes[cells], kind="stable")
    return np.sort(by_share[:num_rows])
