"""Joins the shards of a data set into one cache."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.errors import CacheError, FieldError, located
from clip_cfr.cache.files.atomic import locked, refuse_finished, unwritable
from clip_cfr.cache.format.schema import FeatureCache, Rows
from clip_cfr.cache.format.shard import KEY as SHARD
from clip_cfr.cache.merge.compatibility import (
    OWN,
    check_agreement,
    check_contents,
    differing,
    warnings_of,
)
from clip_cfr.cache.merge.shard_files import Piece, check_coverage, read_piece
from clip_cfr.cache.read.hdf5_file import REMEDY, opened, read_text, stored_digest
from clip_cfr.cache.read.reader import read_all_but_features
from clip_cfr.cache.read.virtual import KEY as MERGED
from clip_cfr.cache.read.virtual import Source, SourceRows, relative, virtual_layout
from clip_cfr.cache.write.writer import place, total_bytes


def merge_shards(
    paths: Sequence[str | Path], out: str | Path, overwrite: bool = False, virtual: bool = False
) -> list[str]:
    """What the user should know; the cache of all the shards then lies at `out`.

    Shards come in any order. Their checksums are verified on the way, and of features no more than
    a chunk is held. With `virtual`, features stay in the shards and `out` refers to them.

    Raises:
        CacheError: a shard is missing, given twice, damaged, or made otherwise than the others;
            `out` is finished or in use; the disk is full. Nothing is written then.
    """
    out = Path(out)
    with locked(out):
        refuse_finished(out, overwrite)
        pieces = sorted(map(read_piece, map(Path, paths)), key=lambda piece: piece.shard.index)
        check_agreement(pieces)
        check_coverage(out, pieces)
        sources = [Source(piece.path, piece.sha256, len(piece.shard)) for piece in pieces]
        with VerifiedRows(sources, pieces[0].dim, pieces[0].dtype) as rows:
            cache = replace(joined(out, pieces), features=rows)
            try:
                place(out, cache, virtual_layout(out, rows) if virtual else None)
            except OSError as error:
                needed = total_bytes(cache) - virtual * rows.num_bytes
                raise unwritable(out, error, f"{needed:,} bytes are needed") from error
    return warnings_of(pieces)


class VerifiedRows(SourceRows):
    """Rows of sources that are read once, in order: each source's SHA-256 is checked at its end."""

    _digest = hashlib.sha256()

    @property
    def num_bytes(self) -> int:
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def read(self, number: int, rows: slice) -> np.ndarray:
        block = super().read(number, rows)
        if rows.start == 0:
            self._digest = hashlib.sha256()
        self._digest.update(block)
        if rows.stop == self.sources[number].num_rows:
            with located(self.sources[number].path, REMEDY):
                expected, found = read_text(self.data(number), "sha256"), self._digest.hexdigest()
                if found != expected:
                    raise FieldError("features", f"SHA-256 {expected}", found)
        return block


def joined(out: Path, pieces: Sequence[Piece]) -> FeatureCache:
    """The cache of the pieces, which are in order, but for its features.

    Head and texts are the first's; of the others, rows are all that is held.
    """
    first = _contents(pieces[0])
    rows, valid = [first.rows], [first.valid]
    for piece in pieces[1:]:
        cache = _contents(piece)
        check_contents(piece, cache, pieces[0], first)
        rows.append(cache.rows)
        valid.append(cache.valid)
    provenance = merged_provenance(out, pieces)
    return replace(
        first, rows=joined_rows(rows), valid=np.concatenate(valid), provenance=provenance
    )


def _contents(piece: Piece) -> FeatureCache:
    with opened(piece.path) as file:
        if stored_digest(file) != piece.sha256:
            raise CacheError(
                f"{piece.path}: another file than a moment ago; wait until nobody writes it, and "
                "run the same command again"
            )
        return replace(read_all_but_features(file), features=None)


def joined_rows(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, one after the other."""
    columns = (
        [getattr(part, name) for part in parts] for name in ("labels", "attributes", "splits")
    )
    subjects = [part.subjects for part in parts]
    return Rows(
        tuple(chain.from_iterable(part.ids for part in parts)),
        *map(np.concatenate, columns),
        None if subjects[0] is None else np.concatenate(subjects),
    )


def merged_provenance(out: Path, pieces: Sequence[Piece]) -> dict[str, Any]:
    """The first's provenance, and what each shard was and has for itself."""
    own = differing(pieces)
    entries = [
        {
            "file": relative(out, piece.path),
            "sha256": piece.sha256,
            "num_rows": len(piece.shard),
        }
        | {key: piece.provenance[key] for key in OWN if key in piece.provenance and key != SHARD}
        | {key: values[number] for key, values in own.items()}
        for number, piece in enumerate(pieces)
    ]
    kept = {key: value for key, value in pieces[0].provenance.items() if key not in OWN}
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return kept | {"created": created, MERGED: entries}
