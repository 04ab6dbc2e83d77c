"""Shards: caches of a range of a data set's rows (see FORMAT.md)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clip_cfr.cache.errors import CacheError, FieldError

# Name of the entry in the provenance.
SHARD_KEY = "shard"


@dataclass(frozen=True)
class Shard:
    """A range of the rows of a data set; as text, `shard 2 of 4 (rows 100 to 199 of 400)`.

    Attributes:
        index: number of the shard, from 1 to `count`.
        count: number of shards.
        first_row: index of the first row.
        stop_row: index of the row after the last one. The length of a shard is
            `stop_row - first_row`.
        num_rows: number of rows of the whole data set.
    """

    index: int
    count: int
    first_row: int
    stop_row: int
    num_rows: int

    def __str__(self) -> str:
        rows = f"rows {self.first_row} to {self.stop_row - 1} of {self.num_rows}"
        return f"shard {self.index} of {self.count} ({rows})"

    def __len__(self) -> int:
        return self.stop_row - self.first_row

    @property
    def option(self) -> str:
        """The option of extract that creates this shard, such as `--shard 2/4`."""
        return f"--shard {self.index}/{self.count}"

    def to_provenance(self) -> dict[str, Any]:
        """Return the provenance entry that declares this shard: {"shard": {field: value}}."""
        return {SHARD_KEY: asdict(self)}


def make_shard(index: int, count: int, num_rows: int) -> Shard:
    """Return shard `index` of `count`, from 1; the sizes of shards differ by at most one row.

    The shards 1 to `count` cover all rows in order. Some are empty if `count` exceeds `num_rows`.
    """
    first, stop = (index - 1) * num_rows // count, index * num_rows // count
    return Shard(index, count, first, stop, num_rows)


def shard_from_provenance(provenance: Mapping[str, Any], num_rows: int) -> Shard | None:
    """Return the shard that a provenance declares, or None if the cache is a whole data set.

    Args:
        provenance: provenance of the cache.
        num_rows: number of rows of the cache.

    Raises:
        FieldError: the entry is malformed or inconsistent, or the shard does not have `num_rows`
            rows.
    """
    entry = provenance.get(SHARD_KEY)
    if entry is None:
        return None
    try:
        shard = Shard(**{name: int(value) for name, value in entry.items()})
        expected = make_shard(shard.index, shard.count, shard.num_rows)
        good = 1 <= shard.index <= shard.count and shard == expected and len(shard) == num_rows
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        good = False
    if not good:
        raise FieldError("provenance, shard", f"a shard of {num_rows} rows", entry)
    return shard


def check_not_shard(path: Path, provenance: Mapping[str, Any], num_rows: int) -> None:
    """Raise CacheError, which says how to merge, if a cache is a shard of a data set.

    Args:
        path: the cache, for the message; it is not read.
        provenance: provenance of the cache.
        num_rows: number of rows of the cache.

    Raises:
        CacheError: the provenance declares a shard.
        FieldError: its entry for the shard is malformed.
    """
    shard = shard_from_provenance(provenance, num_rows)
    if shard:
        raise CacheError(
            f"{path}: expected a whole cache, found {shard}; merge all {shard.count} shards with "
            "merge SHARD... --out FILE.h5"
        )
