"""What a feature cache holds, as plain dataclasses over numpy arrays (see FORMAT.md)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int8, Int32

SPLIT_NAMES = ("train", "val", "test")


@dataclass(frozen=True)
class Rows:
    """The columns of a manifest: one entry for each image, in the manifest's order.

    Attributes:
        ids: path of each image relative to the data set's root, unique.
        labels: class of each row.
        attributes: spurious attribute of each row; all zero where none is known.
        splits: 0 train, 1 val, 2 test.
        subjects: rows with equal numbers show one subject (a patient, a digit) and are not
            independent; None where every row stands for itself.
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
    """The last linear map of CLIP's image tower: embedding = features @ projection + bias.

    `logit_scale` is the factor itself (about 100 for CLIP), not its logarithm.
    """

    projection: Float32[np.ndarray, "dim embedding"]
    bias: Float32[np.ndarray, " embedding"] | None
    logit_scale: float


@dataclass(frozen=True)
class Texts:
    """Class and attribute names, the prompts made of them, and their embeddings.

    All embeddings have unit length. `class_prompts[c]` are the sentences of class c; the rows of
    `class_prompt_embeddings` are those sentences class after class, and `class_embeddings[c]` is
    the normalised mean of class c's rows. Likewise for attributes, where their names are known.
    Prompts are empty, and `class_prompt_embeddings` has no rows, where the class embeddings were
    imported or are class means.
    """

    class_names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    class_prompts: tuple[tuple[str, ...], ...]
    attribute_prompts: tuple[tuple[str, ...], ...]
    class_embeddings: Float32[np.ndarray, "classes embedding"]
    class_prompt_embeddings: Float32[np.ndarray, "prompts embedding"]
    attribute_embeddings: Float32[np.ndarray, "attributes embedding"] | None = None


@dataclass(frozen=True)
class FeatureCache:
    """A whole cache.

    `features` are pooled image features before the projection, not normalised, in the type that
    is stored (float16 or float32). Rows whose `valid` is false could not be read: they are zero,
    keep their place, and take part in nothing.
    """

    dataset: str
    rows: Rows
    valid: Bool[np.ndarray, " n"]
    features: Float[np.ndarray, "n dim"]
    head: Head
    texts: Texts
    provenance: dict[str, Any]
