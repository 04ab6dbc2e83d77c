"""Attributes in words with the text embeddings of their values, and the rows that get a value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int

from clip_cfr.cache.read.reader import open_cache
from clip_cfr.calibrate.core.errors import CalibrationError, SettingsError
from clip_cfr.calibrate.core.named_groups import (
    NamedAttribute,
    assign_values,
    measure_similarities,
)
from clip_cfr.calibrate.core.row_source import RowSource
from clip_cfr.calibrate.core.task import SPLITS, Task
from clip_cfr.calibrate.methods import load_method
from clip_cfr.calibrate.named.phrases import Phrases, embed_phrases
from clip_cfr.calibrate.named.request import Attributes, WordAttribute, read_attributes
from clip_cfr.calibrate.progress import ProgressReporter

# Cosine similarity above which the embeddings of two values are the same, up to rounding.
SAME = 1 - 1e-6


@dataclass(frozen=True)
class EmbeddedAttributes:
    """Attributes in words with the embeddings of their values.

    Attributes:
        attributes: the attributes.
        embeddings: unit-length embedding of each value, for each attribute.
        margin: smallest margin of a row that gets a value, a difference of cosine similarities.
        templates: sentences that the phrases were put into.
        options: the command line options that name the attributes.
    """

    attributes: tuple[WordAttribute, ...]
    embeddings: tuple[Float32[np.ndarray, "values embedding"], ...]
    margin: float
    templates: tuple[str, ...]
    options: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything that the values of rows depend on besides the model, in JSON types."""
        return {
            "attributes": [each.to_json() for each in self.attributes],
            "margin": self.margin,
            "templates": list(self.templates),
        }


def prepare_attributes(
    cache: Path,
    attributes: Attributes | None,
    margin: float,
    words: Path | None,
    reporter: ProgressReporter,
) -> EmbeddedAttributes | None:
    """Return the attributes that the user names, with their embeddings; None if none is named.

    Args:
        cache: the cache file, whose model embeds the phrases.
        attributes: see `read_attributes`; None or empty for none.
        margin: smallest margin of a row that gets a value.
        words: a words file with embeddings of phrases; None for those of the cache.
        reporter: receives messages.

    Raises:
        SettingsError: the attributes or the margin cannot be used.
        CacheError: the cache or the words file cannot be read, or their models differ.
        CalibrationError: the attributes cannot be read or embedded.
    """
    if not attributes:
        check_without(margin, words)
        return None
    if not 0 <= margin <= 2 or math.isnan(margin):
        raise SettingsError(
            f"attribute_margin is {margin:g}, expected a difference of cosine similarities, from 0 "
            "to 2; with CLIP, values above 0.05 are rare"
        )
    requested = read_attributes(attributes)
    phrases = [each for attribute in requested for one in attribute.phrases for each in one]
    distinct = list({each.casefold(): each for each in reversed(phrases)}.values())[::-1]
    with open_cache(cache) as opened:
        embedded = embed_phrases(distinct, opened, cache, words, reporter)
    return EmbeddedAttributes(
        requested,
        tuple(embed_values(each, embedded) for each in requested),
        float(margin),
        embedded.templates,
        tuple(list_options(attributes, margin, words)),
    )


def check_without(margin: float, words: Path | None) -> None:
    """Raise SettingsError if an option is given that only named attributes use."""
    for name, is_given in (("attribute_margin", margin != 0), ("words", words is not None)):
        if is_given:
            raise SettingsError(
                f"{name} is of use with attributes named in words only: add --attribute at least "
                "twice, or --attributes FILE.json, or leave it out"
            )


def embed_values(
    attribute: WordAttribute, phrases: Phrases
) -> Float32[np.ndarray, "values embedding"]:
    """Return the unit-length mean of the embeddings of each value's phrases.

    Raises:
        SettingsError: two values have the same embedding, so that no row prefers one of them.
    """
    means = np.stack(
        [
            np.mean([phrases.embeddings[each.casefold()] for each in one], axis=0)
            for one in attribute.phrases
        ]
    )
    values = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-30)
    same = np.argwhere(np.triu(values.astype(np.float64) @ values.T, 1) > SAME)
    if len(same):
        first, second = (attribute.values[each] for each in same[0])
        raise SettingsError(
            f"{attribute.name}: the values {first!r} and {second!r} have the same text embedding; "
            "the text tower does not tell them apart: describe them by other words"
        )
    return values.astype(np.float32)


def list_options(attributes: Attributes, margin: float, words: Path | None) -> list[str]:
    """Return the command line options that name the same attributes.

    For attributes that Python gave as a mapping, the file is FILE.json.
    """
    if isinstance(attributes, str | Path):
        named = ["--attributes", str(attributes)]
    elif isinstance(attributes, Sequence):
        named = [word for each in attributes for word in ("--attribute", each)]
    else:
        named = ["--attributes", "FILE.json"]
    limit = ["--attribute-margin", f"{margin:g}"] if margin else []
    return [*named, *limit, *([] if words is None else ["--words", str(words)])]


def name_groups(task: Task, embedded: EmbeddedAttributes | None, methods: Sequence[str]) -> Task:
    """Return a task with the named value of each row of val and test, and of train if needed.

    Args:
        task: the task.
        embedded: the attributes; None leaves the task as it is.
        methods: the methods to fit, which tell whether training rows need values.

    Raises:
        CalibrationError: no validation row has a value of an attribute.
    """
    if embedded is None:
        return task
    needs_train = any(load_method(each).named_split == "train" for each in methods)
    used = task.valid & (needs_train | (task.splits != SPLITS.index("train")))
    rows = np.flatnonzero(used).astype(np.int32)
    named = name_images(embedded, task.features, rows, task.projection, task.bias)
    check_some(named, task.rows("val"), "val", embedded.margin)
    return replace(task, named=named)


def name_images(
    embedded: EmbeddedAttributes,
    features: Float[np.ndarray, "n dim"] | RowSource,
    rows: Int[np.ndarray, " rows"],
    projection: Float32[np.ndarray, "dim embedding"],
    bias: Float32[np.ndarray, " embedding"] | None,
) -> tuple[NamedAttribute, ...]:
    """Return each attribute with the value of some rows; other rows get none.

    Args:
        embedded: the attributes.
        features: features as stored, in memory or in a file.
        rows: indices of the rows, ascending.
        projection, bias: CLIP's own head; no bias if None.
    """
    similarities = measure_similarities(
        features, rows, projection, bias, np.concatenate(embedded.embeddings)
    )
    ends = np.cumsum([len(each) for each in embedded.embeddings])[:-1]
    parts = np.split(similarities, ends, axis=1)
    return tuple(
        name_rows(attribute, part, rows, features.shape[0], embedded.margin)
        for attribute, part in zip(embedded.attributes, parts, strict=True)
    )


def name_rows(
    attribute: WordAttribute,
    similarities: Float32[np.ndarray, "rows values"],
    rows: Int[np.ndarray, " rows"],
    num_rows: int,
    margin: float,
) -> NamedAttribute:
    """Return an attribute with the value of each row; -1 below the margin and for other rows."""
    found, margins = assign_values(similarities)
    indices = np.full(num_rows, -1, np.int32)
    indices[rows] = np.where(margins >= margin, found, -1)
    all_margins = np.full(num_rows, np.nan, np.float32)
    all_margins[rows] = margins
    return NamedAttribute(attribute.name, attribute.values, indices, all_margins)


def check_some(
    named: Sequence[NamedAttribute], rows: Int[np.ndarray, " rows"], split: str, margin: float
) -> None:
    """Raise CalibrationError for an attribute of which no row of a split has a value."""
    for each in named:
        if (each.indices[rows] < 0).all():
            raise CalibrationError(
                f"--attribute-margin {margin:g}: no row of the {split} split has a value of "
                f"{each.name!r}; the largest margin there is {each.margins[rows].max():.3g}; "
                "lower it"
            )
