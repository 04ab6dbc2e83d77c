"""A cache as root attributes and data sets, and back."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from clip_cfr.cache.errors import FieldError
from clip_cfr.cache.format.layout import Stored
from clip_cfr.cache.format.schema import FeatureCache, Head, Rows, Texts

JSON_ATTRIBUTES = (
    "class_names",
    "attribute_names",
    "class_prompts",
    "attribute_prompts",
    "provenance",
)
TEXT_ATTRIBUTES = ("dataset", *JSON_ATTRIBUTES)


def encode_metadata(cache: FeatureCache) -> dict[str, str]:
    """The text of each root attribute in `TEXT_ATTRIBUTES`; all but `dataset` are JSON."""
    values = {name: getattr(cache.texts, name) for name in JSON_ATTRIBUTES[:-1]}
    values["provenance"] = cache.provenance
    return {"dataset": cache.dataset} | {name: _json(name, values[name]) for name in values}


def _json(name: str, value: object) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise FieldError(name, "a value that JSON can hold", error) from error


def metadata_digest(metadata: Mapping[str, str]) -> str:
    """SHA-256, in hex, of the root attributes as one JSON object with sorted keys."""
    return hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode()).hexdigest()


def decode_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The values of the root attributes by name; names and prompts are tuples."""
    values: dict[str, Any] = {"dataset": metadata["dataset"]}
    for name in JSON_ATTRIBUTES:
        try:
            values[name] = DECODERS[name](json.loads(metadata[name]))
        except (TypeError, ValueError) as error:
            raise FieldError(name, "JSON as in cache/FORMAT.md", metadata[name][:80]) from error
    return values


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("not a list of strings")
    return tuple(value)


def _prompts(value: list) -> tuple[tuple[str, ...], ...]:
    return tuple(_names(prompts) for prompts in value)


DECODERS = {
    "class_names": _names,
    "attribute_names": _names,
    "class_prompts": _prompts,
    "attribute_prompts": _prompts,
    "provenance": dict,
}


def axis_sizes(values: Mapping[str, Any]) -> dict[str, int]:
    """The lengths of the axes that names and prompts decide."""
    return {
        "classes": len(values["class_names"]),
        "attributes": len(values["attribute_names"]),
        "prompts": sum(len(prompts) for prompts in values["class_prompts"]),
    }


def encode_fields(cache: FeatureCache) -> dict[str, Stored]:
    """The data sets by name, those that are None left out."""
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
    }
    return {name: array for name, array in fields.items() if array is not None}


def decode_fields(values: Mapping[str, Any], fields: Mapping[str, Any]) -> FeatureCache:
    """The cache that the decoded root attributes and the data sets describe."""
    columns = (fields[name] for name in ("labels", "attributes", "splits"))
    rows = Rows(_decode_ids(fields["ids"]), *columns, fields.get("subjects"))
    scale = float(fields["head/logit_scale"])
    head = Head(fields["head/projection"], fields.get("head/bias"), scale)
    texts = Texts(
        *(values[name] for name in JSON_ATTRIBUTES[:-1]),
        class_embeddings=fields["text/class_embeddings"],
        class_prompt_embeddings=fields["text/class_prompt_embeddings"],
        attribute_embeddings=fields.get("text/attribute_embeddings"),
    )
    features, valid, provenance = fields["features"], fields["valid"], values["provenance"]
    return FeatureCache(values["dataset"], rows, valid, features, head, texts, provenance)


def prompt_owners(class_prompts: tuple[tuple[str, ...], ...]) -> np.ndarray:
    """The class of each prompt (prompts,) int32, prompts being stored class after class."""
    owners = [owner for owner, prompts in enumerate(class_prompts) for _ in prompts]
    return np.array(owners, np.int32)


def encode_text(field: str, *texts: str) -> np.ndarray:
    """Texts as UTF-8 of fixed length: HDF5 keeps no checksum of text of variable length."""
    try:
        encoded = [text.encode() for text in texts]
    except UnicodeEncodeError as error:
        raise FieldError(field, "text that UTF-8 can hold", repr(error.object)) from error
    longest = max(map(len, encoded), default=0)
    return np.array(encoded, h5py.string_dtype("utf-8", max(1, longest)))


def _decode_ids(ids: np.ndarray) -> tuple[str, ...]:
    return tuple(name.decode() for name in ids.tolist())
