"""The sentences that describe classes and attributes, and the embeddings made of theirs."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32

from clip_cfr.cache.format.schema import Texts
from clip_cfr.extract.manifest.manifest import Manifest

Embeddings = Float32[np.ndarray, "prompts embedding"]


def expand(entries: Sequence[str], templates: Sequence[str]) -> tuple[str, ...]:
    """The sentences of one class, entry after entry.

    An entry that ends with a full stop is a sentence and used as it stands; any other is a name
    and put into every template.
    """
    return tuple(
        sentence
        for entry in entries
        for sentence in ([entry] if entry.endswith(".") else filled(entry, templates))
    )


def filled(name: str, templates: Sequence[str]) -> list[str]:
    """The name in every template; a brace in the name means nothing."""
    return [template.replace("{}", name) for template in templates]


def class_embeddings(
    prompt_embeddings: Embeddings, num_prompts: Sequence[int]
) -> Float32[np.ndarray, "classes embedding"]:
    """The mean of each class's prompt embeddings, of unit length.

    `prompt_embeddings` have unit length and stand class after class, `num_prompts[c]` for class c.
    """
    per_class = np.split(prompt_embeddings, np.cumsum(num_prompts)[:-1])
    means = np.stack([rows.mean(axis=0) for rows in per_class])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def embed_texts(
    manifest: Manifest, templates: Sequence[str], embed: Callable[[Sequence[str]], Embeddings]
) -> Texts:
    """The names, prompts and embeddings of a data set; `embed` gives unit-length rows."""
    class_prompts = tuple(expand(entries, templates) for entries in manifest.class_prompts)
    attribute_prompts = tuple(expand(entries, templates) for entries in manifest.attribute_prompts)
    rows = embed(joined(class_prompts))
    return Texts(
        class_names=manifest.class_names,
        attribute_names=manifest.attribute_names,
        class_prompts=class_prompts,
        attribute_prompts=attribute_prompts,
        class_embeddings=class_embeddings(rows, lengths(class_prompts)),
        class_prompt_embeddings=rows,
        attribute_embeddings=(
            class_embeddings(embed(joined(attribute_prompts)), lengths(attribute_prompts))
            if attribute_prompts
            else None
        ),
    )


def joined(prompts: Sequence[Sequence[str]]) -> list[str]:
    """All sentences, class after class."""
    return [sentence for sentences in prompts for sentence in sentences]


def lengths(prompts: Sequence[Sequence[str]]) -> list[int]:
    """How many sentences each class has."""
    return [len(sentences) for sentences in prompts]
