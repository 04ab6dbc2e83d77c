"""A part of a data set for each of several machines."""

import re
from typing import Any

import numpy as np

from clip_cfr.cache.format.shard import make_shard
from clip_cfr.extract.errors import OptionError
from clip_cfr.extract.manifest.limit import with_rows
from clip_cfr.extract.manifest.manifest import Manifest


def parse_shard(text: str) -> tuple[int, int]:
    """Index, from 1, and count of a shard that is written `INDEX/COUNT`.

    Raises:
        OptionError: it is not written so, or the index is not one of 1 to the count.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    index, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= index <= count:
        raise OptionError(
            f"--shard: expected I/N with I from 1 to N, such as 1/8 to 8/8, found {text!r}"
        )
    return index, count


def default_name(dataset: str, shard: tuple[int, int] | None) -> str:
    """The file that an extraction writes where none is named."""
    return f"{dataset}.h5" if shard is None else f"{dataset}.{shard[0]}-of-{shard[1]}.h5"


def part(
    manifest: Manifest, shard: tuple[int, int] | None
) -> tuple[Manifest, dict[str, dict[str, Any]]]:
    """The manifest of a shard, and what the provenance says of it.

    Raises:
        OptionError: there are more shards than rows.
    """
    if shard is None:
        return manifest, {}
    index, count = shard
    num_rows = len(manifest.rows)
    if count > num_rows:
        raise OptionError(
            f"--shard {index}/{count}: {manifest.dataset} has {num_rows} rows, too few for "
            f"{count} shards; make at most {num_rows}"
        )
    found = make_shard(index, count, num_rows)
    rows = np.arange(found.first_row, found.stop_row)
    return with_rows(manifest, rows), found.described()
