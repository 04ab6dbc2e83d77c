"""Convert a cache to root attributes and HDF5 datasets, and back."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from clip_cfr.cache.errors import FieldError
from clip_cfr.cache.format.layout import VOCABULARY_PREFIX, ArraySource
from clip_cfr.cache.format.nested import load_json
from clip_cfr.cache.format.schema import (
    FeatureCache,
    Head,
    OtherPrompts,
    Rows,
    Texts,
    Vocabulary,
)

JSON_ATTRIBUTES = (
    "class_names",
    "attribute_names",
    "class_prompts",
    "attribute_prompts",
    "provenance",
)
TEXT_ATTRIBUTES = ("dataset", *JSON_ATTRIBUTES)


def encode_metadata(cache: FeatureCache) -> dict[str, str]:
    """Return the text of each root attribute by name, in the order of `TEXT_ATTRIBUTES`.

    All texts but `dataset` are JSON.

    Raises:
        FieldError: a value cannot be written as JSON, for example because it holds NaN.
    """
    values = {name: getattr(cache.texts, name) for name in JSON_ATTRIBUTES[:-1]}
    values["provenance"] = cache.provenance
    return {"dataset": cache.dataset} | {name: _to_json(name, values[name]) for name in values}


def _to_json(name: str, value: object) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise FieldError(name, "a JSON value", error) from error


def metadata_digest(metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of the root attributes as one JSON object with sorted keys, in hex."""
    return hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode()).hexdigest()


def decode_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the root attributes by name.

    `dataset` stays a string, names become a tuple of strings, prompts a tuple of such tuples, and
    `provenance` a dict.

    Args:
        metadata: the text of each attribute of `TEXT_ATTRIBUTES`.

    Raises:
        FieldError: an attribute is not the JSON that the format requires.
    """
    values: dict[str, Any] = {"dataset": metadata["dataset"]}
    for name in JSON_ATTRIBUTES:
        try:
            values[name] = CONVERTERS[name](load_json(metadata[name]))
        except (TypeError, ValueError) as error:
            raise FieldError(
                name, "JSON as described in cache/FORMAT.md", metadata[name][:80]
            ) from error
    return values


def _as_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("not a list of strings")
    return tuple(value)


def _as_prompts(value: list) -> tuple[tuple[str, ...], ...]:
    return tuple(_as_names(prompts) for prompts in value)


CONVERTERS = {
    "class_names": _as_names,
    "attribute_names": _as_names,
    "class_prompts": _as_prompts,
    "attribute_prompts": _as_prompts,
    "provenance": dict,
}


def axis_sizes(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the lengths of the axes `classes`, `attributes` and `prompts`.

    Args:
        values: the result of `decode_metadata`; `prompts` counts the prompts of all classes.
    """
    return {
        "classes": len(values["class_names"]),
        "attributes": len(values["attribute_names"]),
        "prompts": sum(len(prompts) for prompts in values["class_prompts"]),
    }


def encode_fields(cache: FeatureCache) -> dict[str, ArraySource]:
    """Return the arrays of a cache by field name (see `FIELDS`), without those that are None.

    Ids become fixed-length UTF-8 and the logit scale a float32 scalar; all others are not copied.

    Raises:
        FieldError: an id cannot be encoded as UTF-8.
    """
    rows, head, texts = cache.rows, cache.head, cache.texts
    fields = {
        "features": cache.features,
        "valid": cache.valid,
        "ids": encode_text("ids", *rows.ids),
        "labels": rows.labels,
        "attributes": rows.attributes,
        "splits": rows.splits,
        "subjects": rows.subjects,
        "head/projection": head.projection,
        "head/bias": head.bias,
        "head/logit_scale": np.asarray(head.logit_scale, np.float32),
        "text/class_embeddings": texts.class_embeddings,
        "text/class_prompt_embeddings": texts.class_prompt_embeddings,
        "text/class_prompt_owners": prompt_owners(texts.class_prompts),
        "text/attribute_embeddings": texts.attribute_embeddings,
        **_encode_other_prompts(texts.other_prompts),
    }
    if cache.vocabulary is not None:
        arrays = encode_vocabulary(cache.vocabulary)
        fields |= {VOCABULARY_PREFIX + name: array for name, array in arrays.items()}
    return {name: array for name, array in fields.items() if array is not None}


def _encode_other_prompts(others: OtherPrompts | None) -> dict[str, np.ndarray]:
    """Return the arrays of `OTHER_PROMPTS` by name; none for None."""
    if others is None:
        return {}
    return {
        "text/other_prompts": encode_text("text/other_prompts", *others.sentences),
        "text/other_prompt_sets": encode_text("text/other_prompt_sets", *others.sets),
        "text/other_prompt_owners": others.owners,
        "text/other_prompt_embeddings": others.embeddings,
    }


def _decode_other_prompts(fields: Mapping[str, Any]) -> OtherPrompts | None:
    """Return the inverse of `_encode_other_prompts`."""
    if "text/other_prompts" not in fields:
        return None
    return OtherPrompts(
        sentences=_decode_text(fields["text/other_prompts"]),
        sets=_decode_text(fields["text/other_prompt_sets"]),
        owners=fields["text/other_prompt_owners"],
        embeddings=fields["text/other_prompt_embeddings"],
    )


def encode_vocabulary(vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """Return the arrays `words`, `templates` (fixed-length UTF-8) and `embeddings`.

    Raises:
        FieldError: a word or a template cannot be encoded as UTF-8.
    """
    return {
        "words": encode_text("words", *vocabulary.words),
        "templates": encode_text("templates", *vocabulary.templates),
        "embeddings": vocabulary.embeddings,
    }


def decode_vocabulary(arrays: Mapping[str, np.ndarray]) -> Vocabulary:
    """Return the vocabulary of the arrays of `encode_vocabulary`, without checking its values."""
    return Vocabulary(
        words=_decode_text(arrays["words"]),
        templates=_decode_text(arrays["templates"]),
        embeddings=arrays["embeddings"],
    )


def decode_fields(values: Mapping[str, Any], fields: Mapping[str, Any]) -> FeatureCache:
    """Return the cache of decoded root attributes and arrays, without checking its values.

    Args:
        values: the result of `decode_metadata`.
        fields: the arrays by field name, optional ones may be missing; `features` may be an open
            HDF5 dataset, which is not read.
    """
    rows = Rows(
        ids=_decode_text(fields["ids"]),
        labels=fields["labels"],
        attributes=fields["attributes"],
        splits=fields["splits"],
        subjects=fields.get("subjects"),
    )
    head = Head(
        projection=fields["head/projection"],
        bias=fields.get("head/bias"),
        logit_scale=float(fields["head/logit_scale"]),
    )
    texts = Texts(
        *(values[name] for name in JSON_ATTRIBUTES[:-1]),
        class_embeddings=fields["text/class_embeddings"],
        class_prompt_embeddings=fields["text/class_prompt_embeddings"],
        attribute_embeddings=fields.get("text/attribute_embeddings"),
        other_prompts=_decode_other_prompts(fields),
    )
    return FeatureCache(
        dataset=values["dataset"],
        rows=rows,
        valid=fields["valid"],
        features=fields["features"],
        head=head,
        texts=texts,
        provenance=values["provenance"],
        vocabulary=_find_vocabulary(fields),
    )


def _find_vocabulary(fields: Mapping[str, Any]) -> Vocabulary | None:
    """Return the vocabulary among the arrays of a cache, or None without one.

    Raises:
        FieldError: only some of its arrays are there.
    """
    names = [f"{VOCABULARY_PREFIX}{name}" for name in ("words", "templates", "embeddings")]
    missing = [name for name in names if name not in fields]
    if len(missing) == len(names):
        return None
    if missing:
        raise FieldError(missing[0], "an HDF5 dataset of this name, as there are others", "none")
    return decode_vocabulary({name.removeprefix(VOCABULARY_PREFIX): fields[name] for name in names})


def prompt_owners(class_prompts: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the class index of each prompt, (prompts,) int32, class after class.

    For example, (("a", "b"), ("c",)) gives [0, 0, 1].
    """
    owners = [owner for owner, prompts in enumerate(class_prompts) for _ in prompts]
    return np.array(owners, np.int32)


def encode_text(field: str, *texts: str) -> np.ndarray:
    """Return strings as an array of fixed-length UTF-8, because HDF5 has no checksums for others.

    Args:
        field: name of the field, for the error.
        texts: the strings.

    Returns:
        (len(texts),) of an h5py string type; its length is that of the longest string in bytes, at
        least 1. Shorter ones are padded with NUL.

    Raises:
        FieldError: a string contains a surrogate and cannot be encoded.
    """
    try:
        encoded = [text.encode() for text in texts]
    except UnicodeEncodeError as error:
        raise FieldError(field, "text that can be encoded as UTF-8", repr(error.object)) from error
    longest = max(map(len, encoded), default=0)
    return np.array(encoded, h5py.string_dtype("utf-8", max(1, longest)))


def _decode_text(texts: np.ndarray) -> tuple[str, ...]:
    return tuple(text.decode() for text in texts.tolist())
