"""Words with the model that embedded them, and whether they belong to the model of a cache."""

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from clip_cfr.cache.console import program_name
from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.schema import FeatureCache, Vocabulary

# Entries of a provenance that identify the model of a text tower.
MODEL_ENTRIES = ("model", "revision", "weights_sha256")
# Entry of the provenance of a cache whose words are from a words file.
WORDS_KEY = "words"
# Name of the model in the provenance of an imported cache.
IMPORTED = "imported"
SHOWN_DIGITS = 12


@dataclass(frozen=True)
class TextModel:
    """The model of a text tower, as far as a file identifies it.

    Attributes:
        entries: `model`, `revision` and `weights_sha256`, as far as they are known, and
            `projection_sha256`, of the image tower's projection; further entries are ignored.
        width: number of columns of the embeddings.
    """

    entries: dict[str, Any]
    width: int

    def describe(self) -> str:
        """Return the name with the start of the SHA-256 of the weights, if that is known."""
        name, digest = self.entries["model"], self.entries.get("weights_sha256")
        return name if digest is None else f"{name} (weights {digest[:SHOWN_DIGITS]})"

    def find_difference(self, other: "TextModel") -> str | None:
        """Return in what this model differs from that of a cache, as a phrase, or None.

        The widths must agree. So must the digests of the weights if both are known, otherwise those
        of the projections; if the cache is imported and names no model, the widths suffice.
        """
        if self.width != other.width:
            return f"the embeddings have {self.width} and {other.width} columns"
        weights = [each.entries.get("weights_sha256") for each in (self, other)]
        if None not in weights:
            return "the weights differ" if weights[0] != weights[1] else None
        if other.entries["model"] == IMPORTED:
            return None
        projections = {each.entries["projection_sha256"] for each in (self, other)}
        return "the projections differ" if len(projections) > 1 else None


@dataclass(frozen=True)
class Words:
    """Words with their embeddings and the model that embedded them.

    Attributes:
        words: the words, unique; one that ends with a full stop is a complete sentence.
        embeddings: unit-length embeddings, a row per word.
        templates: sentences with the placeholder `{}`, into which each word but a sentence was put.
        provenance: the entries of `TextModel`, in JSON types. A words file has further entries.
    """

    words: tuple[str, ...]
    embeddings: Float32[np.ndarray, "words embedding"]
    templates: tuple[str, ...]
    provenance: dict[str, Any]

    @property
    def vocabulary(self) -> Vocabulary:
        """The words as a cache stores them, without the model."""
        return Vocabulary(self.words, self.templates, self.embeddings)

    @property
    def model(self) -> TextModel:
        """The model that embedded the words."""
        return TextModel(self.provenance, self.embeddings.shape[1])


def words_of_cache(cache: FeatureCache) -> Words | None:
    """Return the words that a cache stores, or None if it has none."""
    found = cache.vocabulary
    if found is None:
        return None
    return Words(found.words, found.embeddings, found.templates, model_of_cache(cache).entries)


def model_of_cache(cache: FeatureCache) -> TextModel:
    """Return the model of a cache.

    That of an imported cache is the model of its words if it has some, otherwise `imported`.
    """
    named = cache.provenance.get(WORDS_KEY) or cache.provenance
    entries = {name: named[name] for name in MODEL_ENTRIES if named.get(name) is not None}
    # A dense array, because the SHA-256 of an array in the file is that of all its bytes.
    projection = np.ascontiguousarray(cache.head.projection, np.float32)
    digest = {"projection_sha256": projection_digest(projection)}
    return TextModel(entries | digest, projection.shape[1])


def projection_digest(projection: Float32[np.ndarray, "dim embedding"]) -> str:
    """Return the hex SHA-256 of a projection as a cache records it: of its bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(projection)).hexdigest()


def check_same_model(words: Words, words_path: Path, cache: FeatureCache, cache_path: Path) -> None:
    """Check that words were embedded by the model of a cache, see `TextModel.find_difference`.

    Args:
        words: the words.
        words_path: their file, for the message.
        cache: the cache; its features are not used.
        cache_path: its file, for the message.

    Raises:
        CacheError: they differ; names both models, and the command that embeds words anew.
    """
    model = model_of_cache(cache)
    difference = words.model.find_difference(model)
    if difference is None:
        return
    command = f"{program_name()} words --cache {shlex.quote(str(cache_path))} --out WORDS.h5"
    raise CacheError(
        f"{words_path}: expected words of the model of {cache_path}, {model.describe()}, found "
        f"words of {words.model.describe()}: {difference}; embed the words with the model of the "
        f"cache: {command}"
    )
