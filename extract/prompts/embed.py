"""Text embeddings of the classes and attribute values of a data set."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32

from clip_cfr.cache.format.schema import Texts
from clip_cfr.extract.manifest.manifest import Manifest
from clip_cfr.extract.prompts.expand import expand_prompts

PromptEmbeddings = Float32[np.ndarray, "prompts embedding"]


def embed_prompts(
    manifest: Manifest,
    templates: Sequence[str],
    embed_texts: Callable[[Sequence[str]], PromptEmbeddings],
) -> Texts:
    """Return the names of a data set with their expanded prompts and text embeddings.

    The embedding of a class or attribute value is the unit-length mean of those of its prompts.
    `attribute_embeddings` is None if the manifest has no attribute prompts.

    Args:
        manifest: provides the names and prompt entries.
        templates: sentences with the placeholder `{}` for a name.
        embed_texts: text tower; maps n sentences to a float32 array (n, embedding) whose rows have
            unit length. Called once for all classes, and once for all attribute values if they have
            prompts.
    """
    class_prompts = tuple(expand_prompts(each, templates) for each in manifest.class_prompts)
    attribute_prompts = tuple(
        expand_prompts(each, templates) for each in manifest.attribute_prompts
    )
    class_prompt_embeddings = embed_texts(concatenate(class_prompts))
    return Texts(
        class_names=manifest.class_names,
        attribute_names=manifest.attribute_names,
        class_prompts=class_prompts,
        attribute_prompts=attribute_prompts,
        class_embeddings=average_prompts(class_prompt_embeddings, count_prompts(class_prompts)),
        class_prompt_embeddings=class_prompt_embeddings,
        attribute_embeddings=(
            average_prompts(
                embed_texts(concatenate(attribute_prompts)), count_prompts(attribute_prompts)
            )
            if attribute_prompts
            else None
        ),
    )


def average_prompts(
    prompt_embeddings: PromptEmbeddings, num_prompts: Sequence[int]
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


def concatenate(prompts: Sequence[Sequence[str]]) -> list[str]:
    """Return the prompts of all classes in one flat list, ordered by class."""
    return [prompt for prompts_of_class in prompts for prompt in prompts_of_class]


def count_prompts(prompts: Sequence[Sequence[str]]) -> list[int]:
    """Return the number of prompts of each class, in the order of the classes."""
    return [len(prompts_of_class) for prompts_of_class in prompts]
