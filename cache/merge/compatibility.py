"""Whether shards were made alike: what must be equal, and what may differ by rounding."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.journal import flat
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.format.shard import KEY as SHARD
from clip_cfr.cache.merge.shard_files import Piece, refuse_unlike

# What changes features by rounding alone; entries whose names begin so may differ.
ROUNDING = ("device", "versions", "batch_size", "compile", "channels_last")
# Names of a model, which a machine may keep in a folder of its own: the weights' digest decides.
NAMES = ("model", "revision")
# What is about a shard's own rows or its own run.
OWN = ("created", SHARD, "batch_size_halved")
# Texts are embedded on each machine anew; other sentences or weights are much further off.
EMBEDDING_TOLERANCE = 1e-3
SCALE_TOLERANCE = 1e-5
NOT_SET = "none"
CHANGED = (
    "the data set's images, labels or splits changed between the two, or --limit did: extract "
    "again whichever is out of date, this one"
)


def check_agreement(pieces: Sequence[Piece]) -> None:
    """Checks what shards say of themselves against the first of them.

    Raises:
        CacheError: names the first shard that is of other rows, or was made otherwise.
    """
    first = pieces[0]
    for piece in pieces[1:]:
        _check_whole(piece, first)
        _check_provenance(piece, first)
        for field in ("dataset", "dim", "dtype"):
            expected, found = getattr(first, field), getattr(piece, field)
            if expected != found:
                name = field if field == "dataset" else f"features, {field}"
                refuse_unlike(piece, name, first, expected, found)


def warnings_of(pieces: Sequence[Piece]) -> list[str]:
    """One sentence for each thing that differs between shards and may."""
    return [
        f"{key} differs between shards: {_counted(values)}; {consequence(key)}"
        for key, values in differing(pieces).items()
    ]


def differing(pieces: Sequence[Piece]) -> dict[str, list[Any]]:
    """The values that shards have, one each, of every entry that may differ and does."""
    flats = [flat(piece.provenance) for piece in pieces]
    keys = dict.fromkeys(key for each in flats for key in each)
    found = {
        key: [each.get(key) for each in flats]
        for key in keys
        if key.split(".")[0] in NAMES or key.startswith(ROUNDING)
    }
    return {key: values for key, values in found.items() if any(v != values[0] for v in values)}


def consequence(key: str) -> str:
    """What a difference means."""
    return "the weights are the same" if key in NAMES else "features agree to rounding alone"


def _counted(values: Sequence[Any]) -> str:
    counts = Counter(json.dumps(value) for value in values)
    return ", ".join(f"{value} in {count}" for value, count in counts.most_common())


def _check_whole(piece: Piece, first: Piece) -> None:
    """Both are shards of the same rows cut in the same way."""
    key = "manifest_sha256"
    expected, found = (each.provenance.get(key, NOT_SET) for each in (first, piece))
    if expected != found:
        refuse_unlike(piece, f"provenance, {key}", first, expected, found, CHANGED)
    expected, found = first.shard, piece.shard
    if (expected.count, expected.num_rows) != (found.count, found.num_rows):
        raise CacheError(
            f"{piece.path}: expected one of {expected.count} shards of {expected.num_rows} rows "
            f"as {first.path} is, found {found}; name shards of one count alone"
        )


def _check_provenance(piece: Piece, first: Piece) -> None:
    expected, found = _deciding(first.provenance), _deciding(piece.provenance)
    same_weights = expected.get("weights_sha256") == found.get("weights_sha256") is not None
    for key in sorted(expected.keys() | found.keys()):
        values = expected.get(key, NOT_SET), found.get(key, NOT_SET)
        if values[0] != values[1] and not (key in NAMES and same_weights):
            refuse_unlike(piece, f"provenance, {key}", first, *map(json.dumps, values))


def _deciding(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that must be equal, and names, by dotted name."""
    kept = {k: v for k, v in provenance.items() if k not in OWN and not k.startswith(ROUNDING)}
    return flat(kept)


def check_contents(piece: Piece, cache: FeatureCache, first: Piece, other: FeatureCache) -> None:
    """Checks names, prompts, embeddings and head of a shard against those of the first.

    Raises:
        CacheError: for the first that differs.
    """
    for field in ("class_names", "attribute_names", "class_prompts", "attribute_prompts"):
        expected, found = getattr(other.texts, field), getattr(cache.texts, field)
        if expected != found:
            refuse_unlike(piece, field, first, _short(expected), _short(found))
    for field in ("class_embeddings", "class_prompt_embeddings", "attribute_embeddings"):
        expected, found = getattr(other.texts, field), getattr(cache.texts, field)
        _check_close(piece, f"text/{field}", first, expected, found, EMBEDDING_TOLERANCE)
    for field in ("projection", "bias"):
        expected, found = getattr(other.head, field), getattr(cache.head, field)
        _check_close(piece, f"head/{field}", first, expected, found, 0)
    scales = other.head.logit_scale, cache.head.logit_scale
    if abs(scales[0] - scales[1]) > SCALE_TOLERANCE * scales[0]:
        refuse_unlike(piece, "head/logit_scale", first, *scales)
    if (other.rows.subjects is None) != (cache.rows.subjects is None):
        has = ["no data set" if each.rows.subjects is None else "one" for each in (other, cache)]
        refuse_unlike(piece, "subjects", first, *has)


def _check_close(piece, field, first, expected, found, tolerance: float) -> None:
    """Arrays of equal shape whose numbers are no further apart than `tolerance`, or none at all."""
    shapes = [None if each is None else each.shape for each in (expected, found)]
    if shapes[0] != shapes[1]:
        refuse_unlike(piece, field, first, *(f"shape {shape}" for shape in shapes))
    if expected is None or expected.size == 0:
        return
    offset = np.abs(expected - found).max()
    if offset > tolerance:
        refuse_unlike(piece, field, first, "the same numbers", f"numbers up to {offset:.3g} off")


def _short(value: object) -> str:
    return repr(value)[:80]
