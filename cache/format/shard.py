"""Which rows of a whole data set a shard holds, as its provenance says it (see FORMAT.md)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clip_cfr.cache.errors import CacheError, FieldError

KEY = "shard"


@dataclass(frozen=True)
class Shard:
    """Number `index` of `count` shards, from 1: rows first_row to stop_row - 1 of `num_rows`."""

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
        """What makes it: the option of extract."""
        return f"--shard {self.index}/{self.count}"

    def described(self) -> dict[str, Any]:
        """Its entry in the provenance."""
        return {KEY: asdict(self)}


def make_shard(index: int, count: int, num_rows: int) -> Shard:
    """Shard `index` of `count`: contiguous rows, as many as any other shard has, or one fewer."""
    first, stop = (index - 1) * num_rows // count, index * num_rows // count
    return Shard(index, count, first, stop, num_rows)


def shard_in(provenance: Mapping[str, Any], num_rows: int) -> Shard | None:
    """The shard that a file of so many rows is; None where it holds a whole data set.

    Raises:
        FieldError: the provenance speaks of a shard that cannot be, or not of so many rows.
    """
    entry = provenance.get(KEY)
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


def refuse_shard(path: Path, provenance: Mapping[str, Any], num_rows: int) -> None:
    """Raises where a file that should hold a whole data set is a shard."""
    shard = shard_in(provenance, num_rows)
    if shard:
        raise CacheError(
            f"{path}: expected a whole cache, found {shard}; join all {shard.count} shards with "
            "merge SHARD... --out FILE.h5"
        )
