"""Merge the shards of a data set into one cache."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.console import program_name
from clip_cfr.cache.errors import CacheError, FieldError, error_context
from clip_cfr.cache.files.atomic import make_write_error
from clip_cfr.cache.format.schema import FeatureCache, Rows
from clip_cfr.cache.format.shard import SHARD_KEY
from clip_cfr.cache.merge.compatibility import (
    PER_SHARD,
    check_compatible,
    check_same_contents,
    find_differences,
    is_same_vocabulary,
    list_warnings,
)
from clip_cfr.cache.merge.shard_files import ShardFile, check_complete, read_shard_file
from clip_cfr.cache.read.hdf5_file import REMEDY, open_hdf5, read_content_digest, read_text
from clip_cfr.cache.read.reader import read_all_but_features
from clip_cfr.cache.read.virtual import (
    MERGED_KEY,
    MergedRows,
    Source,
    make_virtual_layout,
    relative_path,
)
from clip_cfr.cache.write.output import reserve_output
from clip_cfr.cache.write.writer import count_bytes, write_atomically

NO_WORDS = (
    "the shards do not have the same words, so none are kept; embed them with: {program} words "
    "--cache {out} --out WORDS.h5"
)


def merge_shards(
    paths: Sequence[str | Path], out: str | Path, overwrite: bool = False, virtual: bool = False
) -> list[str]:
    """Merge the shards of a data set into the cache `out`.

    The checksums of the shards are verified while they are read. Memory holds the columns of all
    rows, but only one chunk of features.

    Args:
        paths: all shards, in any order.
        out: the cache to write; if it is a symbolic link, its target.
        overwrite: whether to replace a finished cache.
        virtual: whether to refer to the features in the shards instead of copying them.

    Returns:
        Warnings about differences between shards that are allowed, see `list_warnings`, and about
        words that are left out because they are not the same in all shards.

    Raises:
        OutputError: `out` is one of the shards.
        CacheError: a shard is missing, given twice, damaged, or made with other settings; `out`
            is finished and `overwrite` is false, in use, or not a cache; or the disk is full.
            Nothing is written.
    """
    paths = [Path(path) for path in paths]
    with reserve_output(Path(out), overwrite, inputs=paths) as out:
        shards = sorted(map(read_shard_file, paths), key=lambda each: each.shard.index)
        check_compatible(shards)
        check_complete(out, shards)
        sources = [Source(each.path, each.sha256, len(each.shard)) for each in shards]
        with VerifiedRows(sources, shards[0].dim, shards[0].dtype) as rows:
            merged, vocabulary_warnings = merge_all_but_features(out, shards)
            cache = replace(merged, features=rows)
            try:
                layout = make_virtual_layout(out, rows) if virtual else None
                write_atomically(out, cache, overwrite, layout)
            except OSError as error:
                needed = count_bytes(cache) - virtual * rows.num_bytes
                raise make_write_error(out, error, f"{needed:,} bytes are needed") from error
    return [*list_warnings(shards), *vocabulary_warnings]


class VerifiedRows(MergedRows):
    """Features of shards, read once in order; verifies the SHA-256 at the end of each shard.

    Reading raises CacheError if the features of a shard differ from the stored SHA-256.
    """

    _digest = hashlib.sha256()

    @property
    def num_bytes(self) -> int:
        """Size of the features of all shards in bytes."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def read_shard(self, index: int, rows: slice) -> np.ndarray:
        """Return rows of one shard, and after its last row check the SHA-256 of all of them.

        The rows of a shard must be read from the first to the last, each once.

        Args:
            index: position of the shard in `sources`.
            rows: slice of rows, relative to the first row of the shard.

        Raises:
            CacheError: the shard is missing, damaged or another file.
        """
        block = super().read_shard(index, rows)
        if rows.start == 0:
            self._digest = hashlib.sha256()
        self._digest.update(block)
        if rows.stop == self.sources[index].num_rows:
            self._check_digest(index)
        return block

    def _check_digest(self, index: int) -> None:
        with error_context(self.sources[index].path, REMEDY):
            expected, found = read_text(self.open_shard(index), "sha256"), self._digest.hexdigest()
            if found != expected:
                raise FieldError("features", f"SHA-256 {expected}", found)


def merge_all_but_features(
    out: Path, shards: Sequence[ShardFile]
) -> tuple[FeatureCache, list[str]]:
    """Return the merged cache with `features` None; head and texts are those of the first shard.

    The words are kept if all shards have the same; otherwise a list of one warning says that they
    are left out.

    Args:
        out: the merged file, to which paths in the provenance are relative.
        shards: all shards, in the order of their rows.

    Raises:
        CacheError: the contents of a shard do not agree with those of the first, or a shard is
            damaged or has changed since `read_shard_file`.
    """
    first = _read_all_but_features(shards[0])
    rows, valid, same_words = [first.rows], [first.valid], True
    for shard in shards[1:]:
        cache = _read_all_but_features(shard)
        check_same_contents(shard, cache, shards[0], first)
        rows.append(cache.rows)
        valid.append(cache.valid)
        same_words = same_words and is_same_vocabulary(cache.vocabulary, first.vocabulary)
    merged = replace(
        first,
        rows=concatenate_rows(rows),
        valid=np.concatenate(valid),
        provenance=merge_provenance(out, shards),
        vocabulary=first.vocabulary if same_words else None,
    )
    left_out = NO_WORDS.format(program=program_name(), out=shlex.quote(str(out)))
    return merged, [] if same_words else [left_out]


def concatenate_rows(parts: Sequence[Rows]) -> Rows:
    """Return the rows of all parts, one after the other.

    Args:
        parts: at least one; all or none must have `subjects`.
    """
    has_subjects = parts[0].subjects is not None
    return Rows(
        ids=tuple(chain.from_iterable(part.ids for part in parts)),
        labels=np.concatenate([part.labels for part in parts]),
        attributes=np.concatenate([part.attributes for part in parts]),
        splits=np.concatenate([part.splits for part in parts]),
        subjects=np.concatenate([part.subjects for part in parts]) if has_subjects else None,
    )


def merge_provenance(out: Path, shards: Sequence[ShardFile]) -> dict[str, Any]:
    """Return the provenance of the merged cache.

    It has the entries of the first shard without those of `PER_SHARD`, `created` with the current
    time (UTC, ISO 8601, seconds), and `merged`, a list with one dict for each shard: `file`
    relative to the folder of `out`, `sha256`, `num_rows`, its own `PER_SHARD` entries but `shard`,
    and the entries that differ between shards.
    """
    differences = find_differences(shards)
    entries = [
        _describe_shard(out, shard, {key: values[i] for key, values in differences.items()})
        for i, shard in enumerate(shards)
    ]
    shared = {key: value for key, value in shards[0].provenance.items() if key not in PER_SHARD}
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return shared | {"created": created, MERGED_KEY: entries}


def _describe_shard(out: Path, shard: ShardFile, differences: dict[str, Any]) -> dict[str, Any]:
    """Return a shard's entry in `merged`.

    It has the file, its digest and number of rows, the provenance entries in PER_SHARD except
    `shard`, and `differences`.
    """
    own = {
        key: shard.provenance[key]
        for key in PER_SHARD
        if key in shard.provenance and key != SHARD_KEY
    }
    file = {
        "file": relative_path(out, shard.path),
        "sha256": shard.sha256,
        "num_rows": len(shard.shard),
    }
    return file | own | differences


def _read_all_but_features(shard: ShardFile) -> FeatureCache:
    """Read a shard, and check that it is still the same file."""
    with open_hdf5(shard.path) as file:
        if read_content_digest(file) != shard.sha256:
            raise CacheError(
                f"{shard.path}: the file changed during the merge; wait until no process writes "
                "it, and run the same command again"
            )
        return replace(read_all_but_features(file), features=None)
