"""Summarize a cache without reading its features."""

from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.class_prompts import list_prompt_sets
from clip_cfr.cache.format.kinds import CACHE
from clip_cfr.cache.format.layout import type_name
from clip_cfr.cache.format.schema import SPLIT_NAMES, FeatureCache
from clip_cfr.cache.format.shard import SHARD_KEY
from clip_cfr.cache.read.hdf5_file import open_hdf5, read_content_digest
from clip_cfr.cache.read.reader import read_all_but_features
from clip_cfr.cache.read.virtual import MergedRows, resolve_features


def content_digest(path: str | Path) -> str:
    """Return the hex SHA-256 that identifies the contents of a cache.

    It is computed from the digests stored in the file, so it is cheap; `verify_cache` recomputes
    those. Caches of equal contents have equal digests.

    Raises:
        CacheError: the file is missing, unfinished, damaged or not a cache.
    """
    with open_hdf5(Path(path)) as file:
        return read_content_digest(file)


def read_info(path: str | Path) -> dict[str, Any]:
    """Return the summary that `info --json` prints, as JSON values.

    It has `cache` (the path), `version`, `sha256` (see `content_digest`), `bytes`, `dataset`,
    `shard`, `features` (`shape`, `dtype`), `sources` (the shards of virtual features),
    `invalid_rows` (`row`, `id`), `splits` (for each split the numbers of rows, of invalid rows, of
    subjects and of rows of each group), `head`, `texts` and `provenance`. Values that do not apply
    are None. Everything but the features is read and checked.

    Raises:
        CacheError: the file is missing, unfinished, damaged, not a cache, or breaks a rule of the
            format.
    """
    path = Path(path)
    with open_hdf5(path) as file, resolve_features(path, read_all_but_features(file)) as cache:
        return {
            "cache": str(path),
            "version": CACHE.version,
            "sha256": read_content_digest(file),
            "bytes": path.stat().st_size,
            "dataset": cache.dataset,
            "shard": cache.provenance.get(SHARD_KEY),
            "features": {
                "shape": list(cache.features.shape),
                "dtype": type_name(cache.features.dtype),
            },
            "sources": _source_paths(cache),
            "invalid_rows": [
                {"row": row, "id": cache.rows.ids[row]}
                for row in np.flatnonzero(~cache.valid).tolist()
            ],
            "splits": {name: _count_split(cache, split) for split, name in enumerate(SPLIT_NAMES)},
            "head": _describe_head(cache),
            "texts": _describe_texts(cache),
            "provenance": cache.provenance,
        }


def _source_paths(cache: FeatureCache) -> list[str] | None:
    """Return the paths of the shards that virtual features refer to; None for other features."""
    rows = cache.features
    return [str(each.path) for each in rows.sources] if isinstance(rows, MergedRows) else None


def _count_split(cache: FeatureCache, split: int) -> dict[str, Any]:
    """Return the numbers of rows, invalid rows, subjects, and rows of each group in a split."""
    rows, texts = cache.rows, cache.texts
    selected = rows.splits == split
    num_attributes = max(1, len(texts.attribute_names))
    groups = (rows.labels * num_attributes + rows.attributes)[selected]
    counts = np.bincount(groups, minlength=len(texts.class_names) * num_attributes)
    subjects = None if rows.subjects is None else len(np.unique(rows.subjects[selected]))
    return {
        "n": int(selected.sum()),
        "invalid": int((selected & ~cache.valid).sum()),
        "subjects": subjects,
        "groups": [_describe_group(cache, group, n) for group, n in enumerate(counts.tolist())],
    }


def _describe_group(cache: FeatureCache, group: int, n: int) -> dict[str, Any]:
    names = cache.texts.attribute_names
    label, attribute = divmod(group, max(1, len(names)))
    return {
        "label": label,
        "attribute": attribute,
        "class_name": cache.texts.class_names[label],
        "attribute_name": names[attribute] if names else None,
        "n": n,
    }


def _describe_head(cache: FeatureCache) -> dict[str, Any]:
    head = cache.head
    return {
        "projection": list(head.projection.shape),
        "bias": head.bias is not None,
        "logit_scale": head.logit_scale,
    }


def _describe_texts(cache: FeatureCache) -> dict[str, Any]:
    texts = cache.texts
    return {
        "class_names": list(texts.class_names),
        "attribute_names": list(texts.attribute_names),
        "class_prompts": [list(prompts) for prompts in texts.class_prompts],
        "attribute_prompts": [list(prompts) for prompts in texts.attribute_prompts],
        "attribute_embeddings": texts.attribute_embeddings is not None,
        "prompt_sets": list(list_prompt_sets(cache)),
        "words": _describe_vocabulary(cache),
    }


def _describe_vocabulary(cache: FeatureCache) -> dict[str, Any] | None:
    """Return the number of words and their templates; None if the cache has no words."""
    found = cache.vocabulary
    return found and {"n": len(found.words), "templates": list(found.templates)}
