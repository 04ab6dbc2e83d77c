"""Add the words of a words file to an imported cache."""

from dataclasses import replace
from pathlib import Path

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.format.schema import FeatureCache
from clip_cfr.cache.words.files import read_words
from clip_cfr.cache.words.words import MODEL_ENTRIES, WORDS_KEY


def add_words(cache: FeatureCache, path: Path) -> FeatureCache:
    """Return an imported cache with the words of a file, and their model in its provenance.

    An imported cache names no model, so only the widths are compared.

    Raises:
        CacheError: the file cannot be read, or its embeddings have another width.
    """
    words = read_words(path)
    width, expected = words.embeddings.shape[1], cache.head.projection.shape[1]
    if width != expected:
        raise CacheError(
            f"{path}: expected embeddings of width {expected}, as the head gives, found {width} "
            f"of {words.model.describe()}; give the words of the model that computed the features, "
            "and its projection with --projection"
        )
    model = {name: words.provenance[name] for name in MODEL_ENTRIES if name in words.provenance}
    return replace(
        cache, vocabulary=words.vocabulary, provenance=cache.provenance | {WORDS_KEY: model}
    )
