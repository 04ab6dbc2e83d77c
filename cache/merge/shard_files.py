"""The shards that are to be joined: what each says of itself, and whether they are all there."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.encoding import decode_metadata
from clip_cfr.cache.format.shard import Shard, shard_in
from clip_cfr.cache.read.hdf5_file import (
    intact,
    opened,
    read_metadata,
    stored_digest,
    stored_fields,
)

MOST_NAMED = 8


@dataclass(frozen=True)
class Piece:
    """A shard on disk: its file, its place in the whole, its contents' digest."""

    path: Path
    shard: Shard
    sha256: str
    dataset: str
    provenance: dict[str, Any]
    dim: int
    dtype: np.dtype


def read_piece(path: Path) -> Piece:
    """The shard in a file, of which nothing but the root attributes is read.

    Raises:
        CacheError: the file is missing, still growing, no cache, or holds a whole data set.
    """
    with opened(path) as file:
        values = decode_metadata(read_metadata(file))
        with intact("features"):
            features = stored_fields(file)["features"]
            (num_rows, dim), dtype = features.shape, features.dtype
        shard = shard_in(values["provenance"], num_rows)
        if shard is None:
            raise CacheError(
                f"{path}: expected a shard, found a whole cache; merge joins the files that "
                "extract --shard I/N writes"
            )
        digest = stored_digest(file)
    return Piece(path, shard, digest, values["dataset"], values["provenance"], dim, dtype)


def refuse_unlike(
    piece: Piece,
    field: str,
    first: Piece,
    expected: object,
    found: object,
    remedy: str = "extract it again as the others were",
) -> None:
    """Raises that a shard does not go with the first one."""
    raise CacheError(
        f"{piece.path}: {field}: expected {expected} as in {first.path}, found {found}; {remedy}, "
        f"with {piece.shard.option} --overwrite"
    )


def check_coverage(out: Path, pieces: Sequence[Piece]) -> None:
    """Raises where a shard is given twice or is missing; the pieces are sorted and of one count."""
    for one, other in pairwise(pieces):
        if one.shard.index == other.shard.index:
            raise CacheError(
                f"{other.path}: {other.shard} is given twice, {one.path} is it too; leave one out"
            )
    count, given = pieces[0].shard.count, {piece.shard.index for piece in pieces}
    missing = [f"--shard {index}/{count}" for index in range(1, count + 1) if index not in given]
    if missing:
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        raise CacheError(
            f"{out}: expected all {count} shards, found {len(given)}; name the files of the others "
            f"too, or make them with extract {', '.join(missing[:MOST_NAMED])}{more}"
        )
