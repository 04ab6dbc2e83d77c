"""Shards of a manifest: contiguous ranges of rows, one for each of several machines."""

import re
from typing import Any

import numpy as np

from clip_cfr.cache.format.shard import make_shard
from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.manifest.select import select_rows


def parse_shard(text: str) -> tuple[int, int]:
    """Parse a shard written `INDEX/COUNT`: `2/8` becomes (2, 8). The index counts from 1.

    Raises:
        OptionError: the text has another form, or the index is not in 1 to the count.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    index, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= index <= count:
        raise OptionError(
            f"--shard is {text!r}, expected I/N with I from 1 to N, such as 1/8 to 8/8"
        )
    return index, count


def default_cache_name(dataset: str, shard: tuple[int, int] | None) -> str:
    """Return the file name of a cache that gets no name from the user.

    It is `celeba.h5`, or `celeba.2-of-8.h5` for the shard (2, 8).
    """
    return f"{dataset}.h5" if shard is None else f"{dataset}.{shard[0]}-of-{shard[1]}.h5"


def select_shard(
    manifest: Manifest, shard: tuple[int, int] | None
) -> tuple[Manifest, dict[str, dict[str, Any]]]:
    """Return the manifest of a shard and the provenance entry that describes the shard.

    The shards are contiguous ranges of rows whose sizes differ by at most one.

    Args:
        manifest: manifest of the whole data set.
        shard: index, counted from 1, and count; None selects all rows.

    Returns:
        The manifest and `{"shard": {"index", "count", "first_row", "stop_row", "num_rows"}}`. The
        manifest itself and an empty dict if `shard` is None.

    Raises:
        OptionError: there are more shards than rows.
    """
    if shard is None:
        return manifest, {}
    index, count = shard
    num_rows = len(manifest.rows)
    if count > num_rows:
        raise OptionError(
            f"--shard {index}/{count}: {manifest.dataset} has {count_noun(num_rows, 'row')}, too "
            f"few for {count} shards; use at most {num_rows}"
        )
    selected = make_shard(index, count, num_rows)
    rows = np.arange(selected.first_row, selected.stop_row)
    return select_rows(manifest, rows), selected.to_provenance()
