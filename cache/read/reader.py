"""Reads and verifies caches."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from clip_cfr.cache.errors import FieldError
from clip_cfr.cache.format.encoding import axis_sizes, decode_fields, decode_metadata, prompt_owners
from clip_cfr.cache.format.invariants import check_values
from clip_cfr.cache.format.layout import check_layout
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.format.shard import refuse_shard, shard_in
from clip_cfr.cache.read.features import StoredRows, feature_blocks, read_features
from clip_cfr.cache.read.hdf5_file import intact, opened, read_metadata, read_text, stored_fields
from clip_cfr.cache.read.virtual import resolved


def read_cache(path: str | Path, whole: bool = True) -> FeatureCache:
    """The cache at `path`, every rule of the format checked; features in their stored type.

    Features are vouched for by HDF5's checksums, everything else by SHA-256 too. Memory never
    holds much more than the result.

    Raises:
        CacheError: the file is missing, still growing, damaged, no cache, or breaks a rule; or it
            is a shard, unless `whole` is false.
    """
    with _opened_all(Path(path), whole) as cache:
        return replace(cache, features=read_features(cache))


@contextmanager
def open_cache(path: str | Path, whole: bool = True) -> Iterator[FeatureCache]:
    """A block with the cache at `path` whose features stay in the file.

    `features[rows]` reads those chunks that hold the rows, which must ascend, and checks them.

    Raises:
        CacheError: as `read_cache` does; for the features when they are read.
    """
    with _opened_all(Path(path), whole) as cache:
        yield replace(cache, features=StoredRows(cache))


def verify_cache(path: str | Path) -> dict[str, str]:
    """SHA-256 of each data set, recomputed from its bytes; whoever gets it has a sound file.

    Raises:
        CacheError: names the first data set, and where it can the row, that is not as it should.
    """
    path = Path(path)
    with opened(path) as file, resolved(path, read_all_but_features(file)) as cache:
        digest = hashlib.sha256()
        for _, block in feature_blocks(cache):
            digest.update(block)
        _check_digest(stored_fields(file)["features"], "features", digest.hexdigest())
        return {name: read_text(data, "sha256") for name, data in stored_fields(file).items()}


def read_all_but_features(file: h5py.File) -> FeatureCache:
    """The cache in an open file, whose `features` are still the data set in the file."""
    values, fields = decode_metadata(read_metadata(file)), stored_fields(file)
    check_layout(fields, axis_sizes(values))
    small = {name: _read_small(name, data) for name, data in fields.items() if name != "features"}
    _check_owners(small, values)
    cache = decode_fields(values, small | {"features": fields["features"]})
    check_values(cache)
    shard_in(cache.provenance, len(cache.rows))
    return cache


@contextmanager
def _opened_all(path: Path, whole: bool) -> Iterator[FeatureCache]:
    """A block with a cache whose features are read from where they are."""
    with opened(path) as file, resolved(path, read_all_but_features(file)) as cache:
        if whole:
            refuse_shard(path, cache.provenance, len(cache.rows))
        yield cache


def _read_small(name: str, data: h5py.Dataset) -> np.ndarray:
    with intact(name):
        array = np.asarray(data[()])
    _check_digest(data, name, hashlib.sha256(array.tobytes()).hexdigest())
    return array


def _check_digest(data: h5py.Dataset, name: str, found: str) -> None:
    expected = read_text(data, "sha256")
    if found != expected:
        raise FieldError(name, f"SHA-256 {expected}", found)


def _check_owners(fields: dict[str, np.ndarray], values: dict[str, Any]) -> None:
    found, expected = fields["text/class_prompt_owners"], prompt_owners(values["class_prompts"])
    wrong = np.flatnonzero(found != expected)
    if wrong.size:
        row = int(wrong[0])
        raise FieldError("text/class_prompt_owners", f"class {expected[row]}", found[row], row)
