"""Shards on disk, as extract writes them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from clip_cfr.cache.format.schema import FeatureCache, Rows
from clip_cfr.cache.format.shard import make_shard
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import make_cache

PROVENANCE = {
    "model": "tiny",
    "revision": None,
    "weights_sha256": "ab" * 32,
    "image_processor": {"class": "P", "configuration": {"size": 224}},
    "compute_dtype": "float32",
    "device": "cpu (a)",
    "versions": {"torch": "2.13.0"},
    "batch_size": 64,
    "manifest_sha256": "cd" * 32,
    "created": "2026-01-01T00:00:00+00:00",
}


def make_whole(n: int = 23, **settings) -> FeatureCache:
    """Return the cache that one extraction of all rows would write."""
    return replace(make_cache(n=n, **settings), provenance=PROVENANCE)


def shard_cache(whole: FeatureCache, index: int, count: int, **provenance) -> FeatureCache:
    """Return one shard of a cache, with the given entries of its provenance changed."""
    shard = make_shard(index, count, len(whole.rows))
    selected, rows = slice(shard.first_row, shard.stop_row), whole.rows
    return replace(
        whole,
        rows=Rows(
            ids=rows.ids[selected],
            labels=rows.labels[selected],
            attributes=rows.attributes[selected],
            splits=rows.splits[selected],
            subjects=None if rows.subjects is None else rows.subjects[selected],
        ),
        valid=whole.valid[selected],
        features=np.ascontiguousarray(whole.features[selected]),
        provenance=whole.provenance | shard.to_provenance() | provenance,
    )


def write_shard(folder: Path, cache: FeatureCache) -> Path:
    """Write a shard under the name that extract gives it, and return its path."""
    shard = cache.provenance["shard"]
    path = folder / f"a.{shard['index']}-of-{shard['count']}.h5"
    write_cache(path, cache, overwrite=True)
    return path


def write_shards(folder: Path, whole: FeatureCache, count: int = 3) -> list[Path]:
    """Write all shards of a cache, and return their paths."""
    folder.mkdir(exist_ok=True)
    return [write_shard(folder, shard_cache(whole, index, count)) for index in range(1, count + 1)]
