"""What is in a cache, told without loading its features."""

from pathlib import Path
from typing import Any

import numpy as np

from clip_cfr.cache.format.layout import VERSION, type_name
from clip_cfr.cache.format.schema import SPLIT_NAMES, FeatureCache
from clip_cfr.cache.format.shard import KEY as SHARD
from clip_cfr.cache.read.hdf5_file import opened, stored_digest
from clip_cfr.cache.read.reader import read_all_but_features
from clip_cfr.cache.read.virtual import SourceRows, resolved


def content_digest(path: str | Path) -> str:
    """SHA-256, in hex, over the stored digests of every data set and of the root attributes.

    It names the contents, cheaply: equal contents have equal digests wherever the file lies. The
    digests are taken as they are stored; `verify` is what recomputes them.

    Raises:
        CacheError: the file is no whole cache.
    """
    with opened(Path(path)) as file:
        return stored_digest(file)


def read_info(path: str | Path) -> dict[str, Any]:
    """What `info` shows, ready for JSON; everything but the features is read and checked.

    Raises:
        CacheError: the file is missing, still growing, damaged, no cache, or breaks a rule.
    """
    path = Path(path)
    with opened(path) as file, resolved(path, read_all_but_features(file)) as cache:
        return {
            "cache": str(path),
            "version": VERSION,
            "sha256": stored_digest(file),
            "bytes": path.stat().st_size,
            "dataset": cache.dataset,
            "shard": cache.provenance.get(SHARD),
            "features": {
                "shape": list(cache.features.shape),
                "dtype": type_name(cache.features.dtype),
            },
            "sources": _sources(cache),
            "invalid_rows": [
                {"row": row, "id": cache.rows.ids[row]}
                for row in np.flatnonzero(~cache.valid).tolist()
            ],
            "splits": {name: _count(cache, code) for code, name in enumerate(SPLIT_NAMES)},
            "head": _describe_head(cache),
            "texts": _describe_texts(cache),
            "provenance": cache.provenance,
        }


def _sources(cache: FeatureCache) -> list[str] | None:
    """The files that features are read from, where they are not in the cache itself."""
    rows = cache.features
    return [str(each.path) for each in rows.sources] if isinstance(rows, SourceRows) else None


def _count(cache: FeatureCache, code: int) -> dict[str, Any]:
    """Rows of a split: all, those not valid, distinct subjects, and the rows of each group."""
    rows, texts = cache.rows, cache.texts
    chosen = rows.splits == code
    num_attributes = max(1, len(texts.attribute_names))
    groups = (rows.labels * num_attributes + rows.attributes)[chosen]
    counts = np.bincount(groups, minlength=len(texts.class_names) * num_attributes)
    subjects = None if rows.subjects is None else len(np.unique(rows.subjects[chosen]))
    return {
        "n": int(chosen.sum()),
        "invalid": int((chosen & ~cache.valid).sum()),
        "subjects": subjects,
        "groups": [_group(cache, group, n) for group, n in enumerate(counts.tolist())],
    }


def _group(cache: FeatureCache, group: int, n: int) -> dict[str, Any]:
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
    }
