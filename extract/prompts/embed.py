"""Text embeddings of the classes and attribute values of a data set."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from clip_cfr.cache.class_prompts import average_prompts
from clip_cfr.cache.format.encoding import prompt_owners
from clip_cfr.cache.format.schema import OtherPrompts, Texts
from clip_cfr.extract.errors import ExtractError
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


def embed_other_prompts(
    manifest: Manifest,
    template_sets: Mapping[str, Sequence[str]],
    embed_texts: Callable[[Sequence[str]], PromptEmbeddings],
) -> OtherPrompts | None:
    """Return the prompts of the classes made with other sets of templates, and their embeddings.

    A set with a sentence that is too long for the text tower is left out. None without sets.

    Args:
        manifest: provides the prompt entries of the classes.
        template_sets: templates by the name of their set.
        embed_texts: text tower, as in `embed_prompts`; called once for each set.
    """
    found = []
    for name, templates in template_sets.items():
        prompts = [expand_prompts(each, templates) for each in manifest.class_prompts]
        try:
            found.append((name, prompts, embed_texts(concatenate(prompts))))
        except ExtractError:  # A sentence has more tokens than the text tower takes.
            continue
    if not found:
        return None
    return OtherPrompts(
        sentences=tuple(each for _, prompts, _ in found for each in concatenate(prompts)),
        sets=tuple(name for name, prompts, _ in found for _ in concatenate(prompts)),
        owners=np.concatenate([prompt_owners(prompts) for _, prompts, _ in found]),
        embeddings=np.concatenate([embeddings for *_, embeddings in found]),
    )


def concatenate(prompts: Sequence[Sequence[str]]) -> list[str]:
    """Return the prompts of all classes in one flat list, ordered by class."""
    return [prompt for prompts_of_class in prompts for prompt in prompts_of_class]


def count_prompts(prompts: Sequence[Sequence[str]]) -> list[int]:
    """Return the number of prompts of each class, in the order of the classes."""
    return [len(prompts_of_class) for prompts_of_class in prompts]
