"""Sets of class prompts, and the class embeddings that they make."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from clip_cfr.cache.format.schema import FeatureCache, Texts

# The class name alone, one template, and the 80 templates of CLIP for ImageNet.
PROMPT_SETS = ("name", "simple", "imagenet")


def own_prompt_set(cache: FeatureCache) -> str | None:
    """Return the name of the set that the prompts of a cache are of; None if it is not known."""
    name = cache.provenance.get("templates")
    return name if cache.texts.class_prompts and name in PROMPT_SETS else None


def list_prompt_sets(cache: FeatureCache) -> tuple[str, ...]:
    """Return the names of the sets that a cache has, in the order of `PROMPT_SETS`."""
    others = cache.texts.other_prompts
    found = {own_prompt_set(cache), *(() if others is None else others.sets)}
    return tuple(name for name in PROMPT_SETS if name in found)


def use_prompt_set(cache: FeatureCache, name: str) -> Texts:
    """Return the texts of a cache with the prompts of a set, and the class embeddings they make.

    Args:
        cache: the cache.
        name: one of `list_prompt_sets(cache)`.
    """
    if name == own_prompt_set(cache):
        return cache.texts
    others = cache.texts.other_prompts
    in_set = np.array(others.sets) == name
    classes = range(len(cache.texts.class_names))
    chosen = [np.flatnonzero(in_set & (others.owners == each)) for each in classes]
    embeddings = others.embeddings[np.concatenate(chosen)]
    return replace(
        cache.texts,
        class_prompts=tuple(tuple(others.sentences[row] for row in rows) for rows in chosen),
        class_prompt_embeddings=embeddings,
        class_embeddings=average_prompts(embeddings, [len(rows) for rows in chosen]),
    )


def with_prompt_set(cache: FeatureCache, name: str | None) -> FeatureCache:
    """Return a cache with the texts of `use_prompt_set`; None keeps its own."""
    return cache if name is None else replace(cache, texts=use_prompt_set(cache, name))


def average_prompts(
    prompt_embeddings: Float32[np.ndarray, "prompts embedding"],
    num_prompts: Sequence[int],
) -> Float32[np.ndarray, "classes embedding"]:
    """Return the unit-length mean of each class's prompt embeddings (prompt ensembling).

    Args:
        prompt_embeddings: unit-length rows, ordered by class.
        num_prompts: number of prompts of each class, at least one; they sum to the number of rows.

    References:
        A. Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
            2021, section 3.1.4.
    """
    per_class = np.split(prompt_embeddings, np.cumsum(num_prompts)[:-1])
    means = np.stack([rows.mean(axis=0) for rows in per_class])
    return means / np.linalg.norm(means, axis=1, keepdims=True)
