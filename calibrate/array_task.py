"""Make a task from arrays in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32, Shaped
from numpy.typing import ArrayLike
from sklearn.utils import check_array

from clip_cfr.calibrate.core.task import SPLITS, Task

# The upper limit of the logit scale in CLIP's training, which its models reach.
CLIP_LOGIT_SCALE = 100.0
# Class embeddings whose lengths differ from 1 by less than this are used unchanged.
LENGTH_TOLERANCE = 1e-3
TRAIN, VAL = SPLITS.index("train"), SPLITS.index("val")


@dataclass(frozen=True)
class Examples:
    """Training and validation rows.

    Attributes:
        features: pooled features, not normalized.
        labels: class index of each row.
        splits: `TRAIN` or `VAL` of each row.
        val_attributes: attribute of each validation row, numbers or strings; None if unknown.
            Attributes of training rows are never needed.
    """

    features: Float[np.ndarray, "n dim"]
    labels: Int[np.ndarray, " n"]
    splits: Int[np.ndarray, " n"]
    val_attributes: Shaped[np.ndarray, " val"] | None = None


def hold_out(
    rng: np.random.Generator, labels: Int[np.ndarray, " n"], fraction: float
) -> Bool[np.ndarray, " n"]:
    """Return a mask of random rows to hold out for validation, a fraction of each class.

    At least one row of each class is kept. At least one is held out if the class has several rows.

    Args:
        rng: draws the rows.
        labels: class index of each row.
        fraction: fraction of the rows of a class; the number of rows is rounded.

    Raises:
        ValueError: the fraction is not between 0 and 1, or no class has several rows.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation_fraction is {fraction}, expected a number between 0 and 1")
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        held_out[rows[: min(max(1, round(fraction * len(rows))), len(rows) - 1)]] = True
    if not held_out.any():
        raise ValueError(
            "every class of y has a single row, so that no row can be held out for validation; "
            "pass val=(X, y)"
        )
    return held_out


@dataclass(frozen=True)
class InitialHead:
    """The zero-shot head, from which training starts.

    Attributes:
        projection: (dim, embedding); None for the identity.
        bias: (embedding,), added to projected features; None for a head without bias.
        class_embeddings: (classes, embedding); None for the class means of the training rows.
        logit_scale: factor of the zero-shot logits.
    """

    projection: ArrayLike | None = None
    bias: ArrayLike | None = None
    class_embeddings: ArrayLike | None = None
    logit_scale: float = CLIP_LOGIT_SCALE


def make_task(examples: Examples, head: InitialHead, class_names: Sequence[str]) -> Task:
    """Make a task without test rows, in which all rows are valid.

    Args:
        examples: training and validation rows.
        head: the zero-shot head.
        class_names: name of each class, in the order of the labels.

    Raises:
        ValueError: an array of the head has the wrong shape or is not finite.
        CalibrationError: there are no training or no validation rows, or the training rows are of
            one class only.
    """
    projection, bias = projection_of(head, examples.features.shape[1])
    attribute_names, attributes = encode_attributes(examples)
    return Task(
        features=examples.features,
        valid=np.ones(len(examples.labels), bool),
        labels=examples.labels.astype(np.int32),
        attributes=attributes,
        splits=examples.splits,
        class_names=tuple(class_names),
        attribute_names=attribute_names,
        projection=projection,
        bias=bias,
        logit_scale=float(head.logit_scale),
        class_embeddings=class_embeddings_of(head, examples, projection, bias, len(class_names)),
    )


def encode_attributes(examples: Examples) -> tuple[tuple[str, ...], Int32[np.ndarray, " n"]]:
    """Return the attribute names and the attribute index of each row, 0 for training rows.

    Names are the distinct attributes as text, in their sorted order. Without attributes there is
    one named `any`.
    """
    indices = np.zeros(len(examples.labels), np.int32)
    if examples.val_attributes is None:
        return ("any",), indices
    names, indices[examples.splits == VAL] = np.unique(examples.val_attributes, return_inverse=True)
    return tuple(map(str, names)), indices


def projection_of(
    head: InitialHead, dim: int
) -> tuple[Float32[np.ndarray, "dim embedding"], Float32[np.ndarray, " embedding"] | None]:
    """Return the projection and the bias of a head as float32.

    The projection is the identity if the head has none; the bias is None if the head has none.

    Args:
        head: the head.
        dim: number of features.

    Raises:
        ValueError: an array does not have the shape (dim, embedding) or (embedding,), or is not
            finite.
    """
    if head.projection is None:
        projection = np.eye(dim, dtype=np.float32)
    else:
        projection = as_float32(head.projection, "projection")
        check_shape(projection, "projection", (dim, projection.shape[-1]))
    if head.bias is None:
        return projection, None
    bias = as_float32(head.bias, "bias")
    check_shape(bias, "bias", projection.shape[1:])
    return projection, bias


def class_embeddings_of(
    head: InitialHead,
    examples: Examples,
    projection: Float32[np.ndarray, "dim embedding"],
    bias: Float32[np.ndarray, " embedding"] | None,
    num_classes: int,
) -> Float32[np.ndarray, "classes embedding"]:
    """Return class embeddings of unit length: those of the head, or else the class means.

    Args:
        head: its class embeddings are scaled unless their lengths are 1 within `LENGTH_TOLERANCE`.
        examples: the rows for class means.
        projection: projection of the head.
        bias: bias of the head, or None.
        num_classes: number of classes.

    Raises:
        ValueError: the class embeddings have the wrong shape or are not finite.
    """
    if head.class_embeddings is None:
        return class_means(examples, projection, bias, num_classes)
    embeddings = as_float32(head.class_embeddings, "class_embeddings")
    check_shape(embeddings, "class_embeddings", (num_classes, projection.shape[1]))
    lengths = np.linalg.norm(embeddings, axis=1)
    return embeddings if np.abs(lengths - 1).max() <= LENGTH_TOLERANCE else normalize(embeddings)


def class_means(
    examples: Examples,
    projection: Float32[np.ndarray, "dim embedding"],
    bias: Float32[np.ndarray, " embedding"] | None,
    num_classes: int,
) -> Float32[np.ndarray, "classes embedding"]:
    """Return the mean of the unit-length embeddings of each class's training rows, at unit length.

    Every class must have training rows.
    """
    means = []
    for label in range(num_classes):
        rows = (examples.splits == TRAIN) & (examples.labels == label)
        vectors = examples.features[rows].astype(np.float32) @ projection
        means.append(normalize(vectors if bias is None else vectors + bias).mean(axis=0))
    return normalize(np.stack(means))


def normalize(vectors: Float32[np.ndarray, "n embedding"]) -> Float32[np.ndarray, "n embedding"]:
    """Return vectors scaled to unit length; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)


def as_float32(values: ArrayLike, name: str) -> Float32[np.ndarray, "..."]:
    """Return values as a float32 array of any shape.

    Raises:
        ValueError: a value is not finite or not a number; names the array by `name`.
    """
    return check_array(values, dtype=np.float32, ensure_2d=False, allow_nd=True, input_name=name)


def check_shape(array: np.ndarray, name: str, expected: tuple[int, ...]) -> None:
    """Raise ValueError, which names the array by `name`, if its shape is not the expected one."""
    if array.shape != expected:
        raise ValueError(f"{name} has shape {array.shape}, expected {expected}")
