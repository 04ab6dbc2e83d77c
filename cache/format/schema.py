"""The contents of a feature cache as dataclasses of numpy arrays (see FORMAT.md)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int8, Int32

from clip_cfr.cache.format.identity import IdentityMatrix

SPLIT_NAMES = ("train", "val", "test")


@dataclass(frozen=True)
class Rows:
    """The columns of a manifest: one row per image, in the manifest's order; `len` counts rows.

    Attributes:
        ids: path of each image relative to the root of the data set, unique.
        labels: class index of each row.
        attributes: index of each row's spurious attribute; all zero if no attribute is known.
        splits: index into `SPLIT_NAMES`: 0 train, 1 val, 2 test.
        subjects: number of the subject (such as a patient) that the image shows. Rows of one
            subject are not independent. None if all rows are independent.
    """

    ids: tuple[str, ...]
    labels: Int32[np.ndarray, " n"]
    attributes: Int32[np.ndarray, " n"]
    splits: Int8[np.ndarray, " n"]
    subjects: Int32[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Head:
    """The projection head of CLIP's image tower: embedding = features @ projection + bias.

    Attributes:
        projection: the weights; an `IdentityMatrix` is written without its zeros, and is read as a
            dense array.
        bias: None if the model has none.
        logit_scale: factor of the cosine similarities, about 100 for CLIP; not its logarithm.
    """

    projection: Float32[np.ndarray, "dim embedding"] | IdentityMatrix
    bias: Float32[np.ndarray, " embedding"] | None
    logit_scale: float


@dataclass(frozen=True)
class OtherPrompts:
    """Sentences of the classes besides `class_prompts`, in named sets, with their embeddings.

    Attributes:
        sentences: the sentences of all sets.
        sets: name of each sentence's set: `name`, `simple` or `imagenet`. Every set has a sentence
            of every class.
        owners: class index of each sentence.
        embeddings: unit-length embedding of each sentence.
    """

    sentences: tuple[str, ...]
    sets: tuple[str, ...]
    owners: Int32[np.ndarray, " others"]
    embeddings: Float32[np.ndarray, "others embedding"]


@dataclass(frozen=True)
class Texts:
    """Names of classes and attributes, their prompts, and the embeddings of the prompts.

    All embeddings have unit length.

    Attributes:
        class_names: name of each class.
        attribute_names: name of each attribute; empty if no attribute is known.
        class_prompts: sentences of each class, in the order of `class_names`; empty if the class
            embeddings were imported or computed as class means.
        attribute_prompts: sentences of each attribute, in the order of `attribute_names`, or empty.
        class_embeddings: one row per class; of a class with prompts, the normalized mean of their
            embeddings.
        class_prompt_embeddings: one row per sentence of `class_prompts`, class after class.
        attribute_embeddings: one row per attribute; None if they are not known.
        other_prompts: other sentences of the classes, from which other class embeddings can be
            made; None if there are none.
    """

    class_names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    class_prompts: tuple[tuple[str, ...], ...]
    attribute_prompts: tuple[tuple[str, ...], ...]
    class_embeddings: Float32[np.ndarray, "classes embedding"]
    class_prompt_embeddings: Float32[np.ndarray, "prompts embedding"]
    attribute_embeddings: Float32[np.ndarray, "attributes embedding"] | None = None
    other_prompts: OtherPrompts | None = None


@dataclass(frozen=True)
class Vocabulary:
    """Words or short phrases with their embeddings in the space of the image embeddings.

    Attributes:
        words: the words, unique; one that ends with a full stop is a complete sentence.
        templates: sentences with the placeholder `{}`, into which each word but a sentence was put.
        embeddings: the unit-length mean of the embeddings of each word's sentences, a row per word.
    """

    words: tuple[str, ...]
    templates: tuple[str, ...]
    embeddings: Float32[np.ndarray, "words embedding"]


@dataclass(frozen=True)
class FeatureCache:
    """The contents of a cache file.

    Attributes:
        dataset: name of the data set.
        rows: the manifest's columns.
        valid: false for an image that could not be read; its features are zeros and are not used.
        features: pooled image features before the projection, not normalized, in the stored type
            (float16 or float32). `open_cache` leaves them in the file.
        head: the projection head.
        texts: names, prompts and their embeddings.
        provenance: how the features were made; see FORMAT.md.
        vocabulary: words and their embeddings; None if the cache has none.
    """

    dataset: str
    rows: Rows
    valid: Bool[np.ndarray, " n"]
    features: Float[np.ndarray, "n dim"]
    head: Head
    texts: Texts
    provenance: dict[str, Any]
    vocabulary: Vocabulary | None = None
