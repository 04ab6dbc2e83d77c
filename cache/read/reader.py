"""Read, open and verify caches."""

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
from clip_cfr.cache.format.shard import check_not_shard, shard_from_provenance
from clip_cfr.cache.read.features import FeaturesOnDisk, iterate_chunks, read_features
from clip_cfr.cache.read.hdf5_file import (
    check_storage,
    detect_damage,
    find_datasets,
    open_hdf5,
    read_metadata,
    read_text,
)
from clip_cfr.cache.read.virtual import resolve_features


def read_cache(path: str | Path, allow_shard: bool = False) -> FeatureCache:
    """Return a cache with all arrays in memory, after checking every rule of the format.

    The features are checked by HDF5's checksums (fletcher32), everything else by SHA-256;
    `verify_cache` also checks the SHA-256 of the features.

    Args:
        path: the cache file.
        allow_shard: whether the file may be a shard instead of a whole data set.

    Raises:
        CacheError: the file is missing, unfinished, damaged, not a cache, or breaks a rule of the
            format; or it is a shard and `allow_shard` is false.
    """
    with _open_cache(Path(path), allow_shard) as cache:
        return replace(cache, features=read_features(cache))


@contextmanager
def open_cache(path: str | Path, allow_shard: bool = False) -> Iterator[FeatureCache]:
    """Yield a cache whose features stay in the file, after checking everything else.

    Its `features` are `FeaturesOnDisk`, which work only in the block: `cache.features[rows]` reads
    the features of the rows whose indices are in `rows`, which must ascend, and
    `cache.features.read_all()` reads all. Features are checked when they are read.

        with open_cache("celeba.h5") as cache:
            features = cache.features[np.flatnonzero(cache.rows.splits == 0)]

    Args:
        path: the cache file.
        allow_shard: whether the file may be a shard instead of a whole data set.

    Raises:
        CacheError: as in `read_cache`; for damaged features, when they are read.
    """
    with _open_cache(Path(path), allow_shard) as cache:
        yield replace(cache, features=FeaturesOnDisk(cache))


def verify_cache(path: str | Path) -> dict[str, str]:
    """Recompute all checksums of a cache or a shard, and check every rule of the format.

    The whole file is read, but only one chunk of features is in memory. The features of a merged
    cache with virtual features are read from its shards.

    Returns:
        The hex SHA-256 of each array, by its name in the file.

    Raises:
        CacheError: the file is missing, unfinished or not a cache, or an array is damaged or breaks
            a rule; names the first one, and the row if it is known.
    """
    path = Path(path)
    with open_hdf5(path) as file, resolve_features(path, read_all_but_features(file)) as cache:
        digest = hashlib.sha256()
        for _, block in iterate_chunks(cache):
            digest.update(block)
        datasets = find_datasets(file)
        _check_digest(datasets["features"], "features", digest.hexdigest())
        return {name: read_text(data, "sha256") for name, data in datasets.items()}


def read_all_but_features(file: h5py.File) -> FeatureCache:
    """Return the cache in an open file; all but its features is read and checked.

    Checked are the SHA-256 of root attributes and arrays, types, shapes, storage and values.

    Returns:
        The cache, with the HDF5 dataset as `features`, which may be virtual.

    Raises:
        FieldError: a field is missing, damaged, or breaks a rule of the format.
    """
    values, fields = decode_metadata(read_metadata(file)), find_datasets(file)
    check_layout(fields, axis_sizes(values))
    for name, data in fields.items():
        # Virtual features are checked against the shards, see `resolve_features`.
        if name != "features" or not data.is_virtual:
            check_storage(name, data)
    small = {name: read_array(name, data) for name, data in fields.items() if name != "features"}
    _check_owners(small, values)
    cache = decode_fields(values, small | {"features": fields["features"]})
    check_values(cache)
    shard_from_provenance(cache.provenance, len(cache.rows))
    return cache


@contextmanager
def _open_cache(path: Path, allow_shard: bool) -> Iterator[FeatureCache]:
    """Open a cache; slices of its `features` are read from the file or from its shards."""
    with open_hdf5(path) as file, resolve_features(path, read_all_but_features(file)) as cache:
        if not allow_shard:
            check_not_shard(path, cache.provenance, len(cache.rows))
        yield cache


def read_array(name: str, data: h5py.Dataset) -> np.ndarray:
    """Return an HDF5 dataset as an array, after checking its SHA-256.

    Raises:
        FieldError: it is damaged, or has another SHA-256; names the field `name`.
    """
    with detect_damage(name):
        array = np.asarray(data[()])
    _check_digest(data, name, hashlib.sha256(array).hexdigest())
    return array


def _check_digest(data: h5py.Dataset, name: str, found: str) -> None:
    expected = read_text(data, "sha256")
    if found != expected:
        raise FieldError(name, f"SHA-256 {expected}", found)


def _check_owners(fields: dict[str, np.ndarray], values: dict[str, Any]) -> None:
    """Check that the class of each prompt agrees with the root attributes."""
    found, expected = fields["text/class_prompt_owners"], prompt_owners(values["class_prompts"])
    wrong = np.flatnonzero(found != expected)
    if wrong.size:
        row = int(wrong[0])
        raise FieldError("text/class_prompt_owners", f"class {expected[row]}", found[row], row)
