"""Read the root attributes of shards, and check that no shard is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.encoding import decode_metadata
from clip_cfr.cache.format.shard import Shard, shard_from_provenance
from clip_cfr.cache.read.hdf5_file import (
    detect_damage,
    find_datasets,
    open_hdf5,
    read_content_digest,
    read_metadata,
)

# Number of missing shards that a message lists.
MAX_LISTED = 8


@dataclass(frozen=True)
class ShardFile:
    """A shard on disk, with the contents of its root attributes.

    Attributes:
        path: the file.
        shard: the rows that it holds.
        sha256: digest of its contents, as `content_digest` returns it.
        dataset: name of the data set.
        provenance: how the features were made.
        dim: width of the features.
        dtype: type of the features.
    """

    path: Path
    shard: Shard
    sha256: str
    dataset: str
    provenance: dict[str, Any]
    dim: int
    dtype: np.dtype


def read_shard_file(path: Path) -> ShardFile:
    """Read the root attributes of a shard, and the shape and type of its features, but no array.

    Raises:
        CacheError: the file is missing, unfinished, damaged or not a cache, or it is a whole cache.
    """
    with open_hdf5(path) as file:
        values = decode_metadata(read_metadata(file))
        with detect_damage("features"):
            features = find_datasets(file)["features"]
            (num_rows, dim), dtype = features.shape, features.dtype
        shard = shard_from_provenance(values["provenance"], num_rows)
        if shard is None:
            raise CacheError(
                f"{path}: expected a shard, found a whole cache; merge takes the files that "
                "extract --shard I/N writes"
            )
        return ShardFile(
            path=path,
            shard=shard,
            sha256=read_content_digest(file),
            dataset=values["dataset"],
            provenance=values["provenance"],
            dim=dim,
            dtype=dtype,
        )


def check_complete(out: Path, shards: Sequence[ShardFile]) -> None:
    """Check that each shard is given exactly once.

    Args:
        out: the merged file, for the message.
        shards: shards of one count, sorted by index.

    Raises:
        CacheError: a shard is given twice, or is missing; names the missing ones, at most
            `MAX_LISTED` of them.
    """
    for one, other in pairwise(shards):
        if one.shard.index == other.shard.index:
            raise CacheError(
                f"{other.path}: {other.shard} is given twice, also as {one.path}; leave one out"
            )
    count, given = shards[0].shard.count, {each.shard.index for each in shards}
    missing = [f"--shard {index}/{count}" for index in range(1, count + 1) if index not in given]
    if missing:
        more = f" and {len(missing) - MAX_LISTED} more" if len(missing) > MAX_LISTED else ""
        raise CacheError(
            f"{out}: expected all {count} shards, found {len(given)}; name the missing files too, "
            f"or create them with extract {', '.join(missing[:MAX_LISTED])}{more}"
        )
