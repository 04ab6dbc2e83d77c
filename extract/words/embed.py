"""Embed a vocabulary with the text tower of a model."""

from collections.abc import Sequence

import numpy as np

from clip_cfr.cache.format.schema import Vocabulary
from clip_cfr.cache.words.words import MODEL_ENTRIES, TextModel, projection_digest
from clip_cfr.extract.encoders.base import Model
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.manifest import parse_entry
from clip_cfr.extract.not_finite import explain_not_finite
from clip_cfr.extract.prompts.embed import average_prompts, concatenate, count_prompts
from clip_cfr.extract.prompts.expand import expand_prompts


def embed_vocabulary(model: Model, words: Sequence[str], templates: Sequence[str]) -> Vocabulary:
    """Return words with the unit-length means of the embeddings of their sentences.

    A word that ends with a full stop is a complete sentence; any other one is put into each
    template.

    Args:
        model: its text tower is called once, for all sentences.
        words: at least one.
        templates: at least one sentence with the placeholder `{}`.

    Raises:
        ExtractError: a sentence has more tokens than the text tower takes, or embeddings are not
            finite.
    """
    prompts = [expand_prompts([parse_entry(word)], templates) for word in words]
    embeddings = embed_by_length(model, concatenate(prompts))
    means = average_prompts(embeddings, count_prompts(prompts))
    if not np.isfinite(means).all():
        raise ExtractError(explain_not_finite(model, "embeddings of the words"))
    return Vocabulary(tuple(words), tuple(templates), means.astype(np.float32))


def embed_by_length(model: Model, sentences: Sequence[str]) -> np.ndarray:
    """Return the unit-length embeddings of sentences, float32 (n, embedding).

    The text tower gets them in the order of their lengths, because it pads the sentences of a batch
    to the longest one.
    """
    order = sorted(range(len(sentences)), key=lambda row: len(sentences[row]))
    found = model.embed_texts([sentences[row] for row in order])
    embeddings = np.empty_like(found)
    embeddings[order] = found
    return embeddings


def describe_text_model(model: Model) -> TextModel:
    """Return the identity of a loaded model."""
    provenance, projection = model.provenance(), model.head().projection
    named = {name: provenance[name] for name in MODEL_ENTRIES if provenance.get(name) is not None}
    digest = {"projection_sha256": projection_digest(projection)}
    return TextModel(named | digest, projection.shape[1])
