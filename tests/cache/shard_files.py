"""Shards on disk, as extract writes them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from clip_cfr.cache.format.schema import FeatureCache, Rows
from clip_cfr.cache.format.shard import make_shard
from clip_cfr.cache.write.writer import write_cache
from tests.cache.examples import make_cache

MADE = {
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
    """The cache that one extraction of all rows would write."""
    return replace(make_cache(n=n, **settings), provenance=MADE)


def shard_cache(whole: FeatureCache, index: int, count: int, **made) -> FeatureCache:
    """One shard of a cache, its provenance changed by `made`."""
    shard = make_shard(index, count, len(whole.rows))
    own, rows = slice(shard.first_row, shard.stop_row), whole.rows
    return replace(
        whole,
        rows=Rows(
            rows.ids[own],
            rows.labels[own],
            rows.attributes[own],
            rows.splits[own],
            None if rows.subjects is None else rows.subjects[own],
        ),
        valid=whole.valid[own],
        features=np.ascontiguousarray(whole.features[own]),
        provenance=whole.provenance | shard.to_provenance() | made,
    )


def write_shard(folder: Path, cache: FeatureCache) -> Path:
    """The file of a shard in a folder, named as extract names it."""
    shard = cache.provenance["shard"]
    path = folder / f"a.{shard['index']}-of-{shard['count']}.h5"
    write_cache(path, cache, overwrite=True)
    return path


def write_shards(folder: Path, whole: FeatureCache, count: int = 3) -> list[Path]:
    """The files of all shards of a cache."""
    folder.mkdir(exist_ok=True)
    return [write_shard(folder, shard_cache(whole, index, count)) for index in range(1, count + 1)]
