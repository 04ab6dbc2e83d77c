"""What is in a cache, told without loading its features."""

import hashlib
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cache.layout import VERSION, type_name
from cache.opening import opened, read_text, stored_fields
from cache.reader import read_all_but_features
from cache.schema import SPLIT_NAMES, FeatureCache


def content_digest(path: str | Path) -> str:
    """SHA-256, in hex, over the stored digests of every data set and of the root attributes.

    It names the contents, cheaply: equal contents have equal digests wherever the file lies. The
    digests are taken as they are stored; `verify` is what recomputes them.

    Raises:
        CacheError: the file is no whole cache.
    """
    with opened(Path(path)) as file:
        return _digest(file)


def read_info(path: str | Path) -> dict[str, Any]:
    """What `info` shows, ready for JSON; everything but the features is read and checked.

    Raises:
        CacheError: the file is missing, still growing, damaged, no cache, or breaks a rule.
    """
    path = Path(path)
    with opened(path) as file:
        cache = read_all_but_features(file)
        return {
            "cache": str(path),
            "version": VERSION,
            "sha256": _digest(file),
            "bytes": path.stat().st_size,
            "dataset": cache.dataset,
            "features": {
                "shape": list(cache.features.shape),
                "dtype": type_name(cache.features.dtype),
            },
            "invalid_rows": [
                {"row": row, "id": cache.rows.ids[row]}
                for row in np.flatnonzero(~cache.valid).tolist()
            ],
            "splits": {name: _count(cache, code) for code, name in enumerate(SPLIT_NAMES)},
            "head": _describe_head(cache),
            "texts": _describe_texts(cache),
            "provenance": cache.provenance,
        }


def _digest(file: h5py.File) -> str:
    digests = {name: read_text(data, "sha256") for name, data in stored_fields(file).items()}
    digests["metadata"] = read_text(file, "metadata_sha256")
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


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
