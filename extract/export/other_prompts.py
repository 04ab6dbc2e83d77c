"""Zero-shot accuracies with other prompts, before and after calibration, on cached features."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from clip_cfr.cache.class_prompts import list_prompt_sets, use_prompt_set
from clip_cfr.cache.format.schema import SPLIT_NAMES, FeatureCache, Texts
from clip_cfr.cache.runs.apply_head import apply_head
from clip_cfr.extract.errors import ExtractError

# The first is the default of transformers' pipeline.
TEMPLATES = ("This is a photo of {}.", "a photo of a {}.", "{}")
# Logits in memory at a time, in float64: 128 MiB.
MAX_LOGITS = 1 << 24

Arrays = Mapping[str, np.ndarray]
Embeddings = Float[np.ndarray, "classes embedding"]
EmbedTexts = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class PromptAccuracy:
    """Accuracies with one set of prompts, in [0, 1].

    Attributes:
        prompts: describes the prompts.
        average_before: accuracy over images, with CLIP's own projection.
        average: the same with the calibrated projection.
        worst_group_before: lowest accuracy of a group, with CLIP's own projection.
        worst_group: the same with the calibrated projection.
        agreement: share of images to which the calibrated projection gives the same class with
            these prompts as with the mean of all class prompts; None for prompts of attributes.
    """

    prompts: str
    average_before: float
    average: float
    worst_group_before: float | None
    worst_group: float | None
    agreement: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the attributes by name."""
        return asdict(self)


def measure_prompts(
    cache: FeatureCache, texts: Texts, head: Arrays, embed_texts: EmbedTexts
) -> list[PromptAccuracy]:
    """Return test accuracies with the run's class embeddings, with other prompts, of attributes.

    Other prompts are each class prompt alone, by its index in every class, of which the lowest,
    median and highest average are returned; the other prompt sets of the cache; and the class names
    in `TEMPLATES`, if the text tower takes sentences of that length. The last entry has the
    accuracy of recognizing the attribute instead of the class, if its prompts are known.

    Args:
        cache: the cache of the run; its features may be on disk.
        texts: its texts with the class prompts of the run (`with_prompt_set`).
        head: arrays of a head that is a projection.
        embed_texts: maps n sentences to unit-length embeddings (n, embedding).
    """
    rows, singles = rows_of_test(cache), single_prompts(texts)
    sets = {
        "all class prompts, their mean (as in the run)": head["class_embeddings"],
        **singles,
        **other_sets(cache, texts),
        **fill_templates(texts, embed_texts),
    }
    before, after = (predict(cache, each, sets, rows) for each in (original_head(cache), head))
    labels = cache.rows.labels[rows]
    groups = labels * max(1, len(texts.attribute_names)) + cache.rows.attributes[rows]
    measured = {
        name: PromptAccuracy(
            name,
            *(float(np.mean(found[name] == labels)) for found in (before, after)),
            *(worst_group(found[name] == labels, groups) for found in (before, after)),
            float(np.mean(after[name] == after[next(iter(sets))])),
        )
        for name in sets
    }
    alone = [measured.pop(name) for name in singles]
    first, *rest = measured.values()
    return [first, *summarize(alone), *rest, *measure_attributes(cache, head, rows)]


def rows_of_test(cache: FeatureCache) -> Int[np.ndarray, " rows"]:
    """Return the indices of the valid rows of the test split, ascending."""
    return np.flatnonzero((cache.rows.splits == SPLIT_NAMES.index("test")) & cache.valid)


def original_head(cache: FeatureCache) -> dict[str, np.ndarray]:
    """Return the arrays of CLIP's own head, without class embeddings."""
    bias = {} if cache.head.bias is None else {"bias": cache.head.bias}
    scale = np.float32(cache.head.logit_scale)
    return {"projection": np.asarray(cache.head.projection), "logit_scale": scale, **bias}


def other_sets(cache: FeatureCache, texts: Texts) -> dict[str, Embeddings]:
    """Return the class embeddings of each prompt set of a cache but that of `texts`."""
    found = {name: use_prompt_set(cache, name) for name in list_prompt_sets(cache)}
    return {
        f"prompt set `{name}`, its mean": each.class_embeddings
        for name, each in found.items()
        if each.class_prompts != texts.class_prompts
    }


def single_prompts(texts: Texts) -> dict[str, Embeddings]:
    """Return the embeddings of the classes by their first prompts alone, their second, and so on.

    Empty if a class has one prompt, or if the numbers of prompts differ.
    """
    counts = {len(prompts) for prompts in texts.class_prompts}
    if len(counts) != 1 or max(counts) < 2:
        return {}
    shape = (len(texts.class_names), max(counts), -1)
    stacked = texts.class_prompt_embeddings.reshape(shape)
    return {f"class prompt {index} alone": stacked[:, index] for index in range(max(counts))}


def fill_templates(texts: Texts, embed_texts: EmbedTexts) -> dict[str, Embeddings]:
    """Return the embeddings of the class names in each of `TEMPLATES`.

    A template that makes a sentence too long for the text tower is left out.
    """
    found = {}
    for template in TEMPLATES:
        sentences = [template.replace("{}", name) for name in texts.class_names]
        with suppress(ExtractError):
            found[f"class names in `{template}`"] = embed_texts(sentences)
    return found


def predict(
    cache: FeatureCache, head: Arrays, sets: Mapping[str, Embeddings], rows: np.ndarray
) -> dict[str, Int[np.ndarray, " rows"]]:
    """Return the predicted classes of rows with each set of embeddings, by its name.

    Args:
        cache: the cache; one block of its features is in memory at a time.
        head: projection, logit scale and optionally bias.
        sets: embeddings of the classes, of unit length; all sets have as many rows.
        rows: ascending row indices.
    """
    arrays = {**head, "class_embeddings": np.concatenate(list(sets.values()))}
    blocks = [
        apply_head(arrays, cache.features[block]).reshape(len(block), len(sets), -1).argmax(-1)
        for block in blocks_of(rows, len(arrays["class_embeddings"]))
    ]
    return dict(zip(sets, np.concatenate(blocks).T, strict=True))


def blocks_of(rows: np.ndarray, num_logits: int) -> Iterator[np.ndarray]:
    """Yield consecutive parts of `rows`, which have `num_logits` each, within `MAX_LOGITS`."""
    size = max(1, MAX_LOGITS // num_logits)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def worst_group(correct: np.ndarray, groups: np.ndarray) -> float:
    """Return the lowest mean of `correct` over the groups that have rows."""
    return float(min(correct[groups == group].mean() for group in np.unique(groups)))


def summarize(alone: list[PromptAccuracy]) -> list[PromptAccuracy]:
    """Return the lowest, median and highest by calibrated average accuracy, renamed."""
    ordered = sorted(alone, key=lambda each: each.average)
    if not ordered:
        return []
    chosen = {"lowest": 0, "median": len(ordered) // 2, "highest": -1}
    return [
        PromptAccuracy(
            **{
                **asdict(ordered[index]),
                "prompts": f"one class prompt alone, {name} of {len(ordered)}",
            }
        )
        for name, index in chosen.items()
    ]


def measure_attributes(cache: FeatureCache, head: Arrays, rows: np.ndarray) -> list[PromptAccuracy]:
    """Return the accuracy of recognizing the attribute by its prompts; empty without prompts."""
    embeddings = cache.texts.attribute_embeddings
    if embeddings is None:
        return []
    name, attributes = "the attribute instead of the class", cache.rows.attributes[rows]
    before, after = (
        float(np.mean(predict(cache, each, {name: embeddings}, rows)[name] == attributes))
        for each in (original_head(cache), head)
    )
    return [PromptAccuracy(name, before, after, None, None, None)]
