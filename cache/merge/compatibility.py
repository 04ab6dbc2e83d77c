"""Check that shards were made with the same settings, up to rounding."""

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.nested import flatten
from clip_cfr.cache.format.schema import FeatureCache, Vocabulary
from clip_cfr.cache.format.shard import SHARD_KEY
from clip_cfr.cache.merge.shard_files import ShardFile

# Prefixes of provenance entries that change features by rounding only, and may differ.
ROUNDING = ("device", "versions", "batch_size", "compile", "channels_last")
# Names of the model. They may be folders of one machine, so equal digests of the weights suffice.
MODEL_NAMES = ("model", "revision")
# Entries that an option of extract sets.
OPTIONS = {
    "bit_depth": "--bit-depth",
    "compute_dtype": "--dtype",
    "limit": "--limit",
    "model": "--model",
    "revision": "--revision",
    "templates": "--templates",
}
# Entries about the rows or the run of one shard.
PER_SHARD = ("created", SHARD_KEY, "batch_size_halved")
# Entries that another one implies (the digest of the manifest covers the splits), and that shards
# of an earlier version lack.
IMPLIED = ("drawn_splits",)
# Largest difference between embeddings of the same prompts on two machines. Other prompts or
# weights change embeddings far more.
EMBEDDING_TOLERANCE = 1e-3
SCALE_TOLERANCE = 1e-5
NOT_SET = "none"
SAME_SETTINGS = "extract it again with the settings of the other shards"
OUTDATED = (
    "the data set's images, labels or splits, or --limit, changed in between: extract the "
    "outdated one again; if it is this one"
)


def check_compatible(shards: Sequence[ShardFile]) -> None:
    """Check the root attributes, and width and type of the features, of shards against the first.

    Entries of the provenance about the run (`PER_SHARD`) or with an effect by rounding only
    (`ROUNDING`) may differ, and the model's name if the weights have equal digests.

    Raises:
        CacheError: a shard has another data set, manifest, count, settings, width or type; names
            the first such shard and field, and the options to extract it again.
    """
    for found in shards[1:]:
        pair = ShardPair(found, shards[0])
        _check_same_rows(pair)
        _check_provenance(pair)
        for field in ("dataset", "dim", "dtype"):
            name = field if field == "dataset" else f"features, {field}"
            pair.check_equal(name, getattr(found, field), getattr(shards[0], field))


def check_same_contents(
    shard: ShardFile, cache: FeatureCache, first: ShardFile, first_cache: FeatureCache
) -> None:
    """Check names, prompts, embeddings and head of a shard against those of the first.

    Embeddings may differ by `EMBEDDING_TOLERANCE`, the logit scale by the relative
    `SCALE_TOLERANCE`; the weights of the head must be equal. Either both or none have subjects.

    Args:
        shard: the shard to check.
        cache: its contents; features are not used.
        first: the first shard.
        first_cache: its contents.

    Raises:
        CacheError: they differ; names the first difference.
    """
    pair = ShardPair(shard, first)
    found, expected = cache.texts, first_cache.texts
    for field in ("class_names", "attribute_names", "class_prompts", "attribute_prompts"):
        pair.check_equal(field, getattr(found, field), getattr(expected, field))
    for field in ("class_embeddings", "class_prompt_embeddings", "attribute_embeddings"):
        arrays = getattr(found, field), getattr(expected, field)
        pair.check_close(f"text/{field}", *arrays, tolerance=EMBEDDING_TOLERANCE)
    others = found.other_prompts, expected.other_prompts
    if None not in others:  # Shards of an earlier version have none.
        for field in ("sentences", "sets"):
            pair.check_equal(f"text/other_prompts, {field}", *(getattr(x, field) for x in others))
        for field in ("owners", "embeddings"):
            arrays = (getattr(each, field) for each in others)
            pair.check_close(f"text/other_prompt_{field}", *arrays, tolerance=EMBEDDING_TOLERANCE)
    for field in ("projection", "bias"):
        arrays = getattr(cache.head, field), getattr(first_cache.head, field)
        pair.check_close(f"head/{field}", *arrays, tolerance=0)
    scale, first_scale = cache.head.logit_scale, first_cache.head.logit_scale
    if abs(scale - first_scale) > SCALE_TOLERANCE * first_scale:
        pair.fail("head/logit_scale", scale, first_scale)
    pair.check_equal("subjects", *map(_describe_subjects, (cache, first_cache)))


def is_same_vocabulary(found: Vocabulary | None, expected: Vocabulary | None) -> bool:
    """Return whether two vocabularies have the same words, templates and embeddings.

    Embeddings may differ by `EMBEDDING_TOLERANCE`. None equals only None.
    """
    if found is None or expected is None:
        return found is expected
    same_words = (found.words, found.templates) == (expected.words, expected.templates)
    same_shape = found.embeddings.shape == expected.embeddings.shape
    if not (same_words and same_shape):
        return False
    return float(np.abs(found.embeddings - expected.embeddings).max()) <= EMBEDDING_TOLERANCE


def list_warnings(shards: Sequence[ShardFile]) -> list[str]:
    """Return a warning for each entry of the provenance that may differ and does.

    For example, `device differs between shards: "cuda" in 3, "cpu" in 1; features differ by
    rounding only`. The list is empty if all are equal.
    """
    return [
        f"{key} differs between shards: {_count_values(values)}; "
        + ("the weights are the same" if key in MODEL_NAMES else "features differ by rounding only")
        for key, values in find_differences(shards).items()
    ]


def find_differences(shards: Sequence[ShardFile]) -> dict[str, list[Any]]:
    """Return the provenance entries that may differ and do, by dotted name.

    Returns:
        The value in each shard, in the order of `shards`; None where the entry is missing.
    """
    provenances = [flatten(each.provenance) for each in shards]
    names = dict.fromkeys(name for each in provenances for name in each)
    values = {name: [each.get(name) for each in provenances] for name in names if _may_differ(name)}
    return {name: each for name, each in values.items() if any(x != each[0] for x in each)}


@dataclass(frozen=True)
class ShardPair:
    """A shard and the first shard, with which it must agree.

    Attributes:
        shard: the shard to check.
        first: the first shard, whose values are expected.
    """

    shard: ShardFile
    first: ShardFile

    def fail(
        self,
        field: str,
        found: object,
        expected: object,
        remedy: str = SAME_SETTINGS,
        option: str = "",
    ) -> NoReturn:
        """Raise a CacheError about a field in which the shard differs from the first one.

        The message is `SHARD: FIELD: expected EXPECTED as in FIRST, found FOUND; REMEDY, with
        OPTIONS`; the options are those of `extract` that write the shard again.

        Args:
            field: name of the field.
            found: value in the shard, for the message.
            expected: value in the first shard, for the message.
            remedy: phrase with the action to take.
            option: option of `extract`, with its value, that makes the field equal; may be empty.
        """
        options = " ".join(filter(None, [self.shard.shard.option, option, "--overwrite"]))
        raise CacheError(
            f"{self.shard.path}: {field}: expected {expected} as in {self.first.path}, found "
            f"{found}; {remedy}, with {options}"
        )

    def check_equal(self, field: str, found: object, expected: object) -> None:
        """Raise CacheError (`fail`) if two values differ; the message has 80 characters of each."""
        if found != expected:
            self.fail(field, str(found)[:80], str(expected)[:80])

    def check_close(
        self, field: str, found: np.ndarray | None, expected: np.ndarray | None, tolerance: float
    ) -> None:
        """Raise CacheError if two arrays differ in shape, or by more than an absolute tolerance.

        None equals only None; empty arrays of one shape are equal.
        """
        shapes = [None if each is None else each.shape for each in (found, expected)]
        if shapes[0] != shapes[1]:
            self.fail(field, *(f"shape {shape}" for shape in shapes))
        if expected is None or expected.size == 0:
            return
        difference = np.abs(expected - found).max()
        if difference > tolerance:
            self.fail(field, f"a difference of {difference:.3g}", "the same numbers")


def _check_same_rows(pair: ShardPair) -> None:
    """Check that both shards have the same manifest and the same count."""
    key = "manifest_sha256"
    found, expected = (each.provenance.get(key, NOT_SET) for each in (pair.shard, pair.first))
    if found != expected:
        pair.fail(f"provenance, {key}", found, expected, OUTDATED)
    found, expected = pair.shard.shard, pair.first.shard
    if (found.count, found.num_rows) != (expected.count, expected.num_rows):
        raise CacheError(
            f"{pair.shard.path}: expected one of {expected.count} shards of {expected.num_rows} "
            f"rows as {pair.first.path} is, found {found}; merge shards of one count only"
        )


def _check_provenance(pair: ShardPair) -> None:
    """Check the entries that change the features by more than rounding."""
    found, expected = (_relevant_entries(each.provenance) for each in (pair.shard, pair.first))
    same_weights = found.get("weights_sha256") == expected.get("weights_sha256") is not None
    for key in sorted(found.keys() | expected.keys()):
        values = found.get(key, NOT_SET), expected.get(key, NOT_SET)
        if values[0] != values[1] and not (key in MODEL_NAMES and same_weights):
            shown = map(json.dumps, values)
            pair.fail(f"provenance, {key}", *shown, option=_option_of(key, values[1]))


def _option_of(key: str, value: Any) -> str:
    """Return the option of `extract` that gives an entry a value; empty if there is none."""
    if key not in OPTIONS or value in (None, NOT_SET):
        return ""
    return f"{OPTIONS[key]} {shlex.quote(str(value))}"


def _relevant_entries(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that must be equal, and the model's names, by dotted name."""
    return flatten(
        {
            key: value
            for key, value in provenance.items()
            if key not in (*PER_SHARD, *IMPLIED) and not key.startswith(ROUNDING)
        }
    )


def _may_differ(name: str) -> bool:
    return name.split(".")[0] in MODEL_NAMES or name.startswith(ROUNDING)


def _describe_subjects(cache: FeatureCache) -> str:
    return "no array" if cache.rows.subjects is None else "an array"


def _count_values(values: Sequence[Any]) -> str:
    counts = Counter(json.dumps(value) for value in values)
    return ", ".join(f"{value} in {count}" for value, count in counts.most_common())
