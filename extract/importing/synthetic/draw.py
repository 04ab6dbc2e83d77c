"""Draw the features, labels and embeddings of a synthetic world."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int8, Int32

from clip_cfr.extract.importing.synthetic.world import SyntheticWorld

# Each has random numbers of its own, so that worlds of equal seeds differ only where their
# parameters do: another correlation has the same directions and the same noise.
STREAMS = ("directions", "order", "noise", "wrong_rows", "wrong_labels")

Columns = tuple[Int32[np.ndarray, " rows"], Int32[np.ndarray, " rows"]]


@dataclass(frozen=True)
class SyntheticArrays:
    """The arrays of a synthetic world: n rows, train before val before test.

    Attributes:
        features: rows x = class_signal / sqrt(2) e_y + attribute_signal / sqrt(2) f_a + noise.
        labels: class index of each row; wrong for some training rows if there is label noise.
        true_labels: y, the class that the features are drawn from.
        attributes: a, the attribute that the features are drawn from.
        splits: 0 train, 1 val, 2 test.
        class_directions, attribute_directions: e and f, together orthonormal.
        class_embeddings: unit-length; row y is proportional to e_y + text_lean f_a(y).
        attribute_embeddings: unit-length; f.
    """

    features: Float32[np.ndarray, "n dim"]
    labels: Int32[np.ndarray, " n"]
    true_labels: Int32[np.ndarray, " n"]
    attributes: Int32[np.ndarray, " n"]
    splits: Int8[np.ndarray, " n"]
    class_directions: Float64[np.ndarray, "classes dim"]
    attribute_directions: Float64[np.ndarray, "attributes dim"]
    class_embeddings: Float32[np.ndarray, "classes dim"]
    attribute_embeddings: Float32[np.ndarray, "attributes dim"]


def draw_synthetic(world: SyntheticWorld) -> SyntheticArrays:
    """Return features with a spurious attribute; equal parameters return equal arrays.

    A row of class y with attribute a is

        x = class_signal / sqrt(2) e_y + attribute_signal / sqrt(2) f_a + z,   z ~ N(0, I),

    where the vectors e (one per class) and f (one per attribute) are orthonormal and randomly
    rotated. The means of two classes thus are `class_signal` apart, and those of two attributes
    `attribute_signal`. In each split the classes have equal numbers of rows (up to one). The
    correlation is the fraction of the rows of class y, rounded to whole rows, with attribute a(y) =
    y mod num_attributes; the other attributes share the rest equally. Label noise replaces the
    labels of `label_noise` of the training rows, drawn at random, by another class; features and
    attributes stay those of the true class, and val and test have no wrong labels.
    """
    e, f = draw_directions(world)
    parts = [draw_groups(world, split) for split in range(3)]
    true_labels, attributes = (np.concatenate(column) for column in zip(*parts, strict=True))
    own = np.arange(world.num_classes) % world.num_attributes
    leaning = e + world.text_lean * f[own]
    return SyntheticArrays(
        features=draw_features(world, e, f, parts),
        labels=replace_labels(world, true_labels),
        true_labels=true_labels,
        attributes=attributes,
        splits=np.repeat(np.arange(3, dtype=np.int8), world.rows),
        class_directions=e,
        attribute_directions=f,
        class_embeddings=(leaning / np.hypot(1, world.text_lean)).astype(np.float32),
        attribute_embeddings=f.astype(np.float32),
    )


def make_rng(world: SyntheticWorld, stream: str, split: int = 0) -> np.random.Generator:
    """Return the random numbers of one of the `STREAMS` and of a split."""
    return np.random.default_rng([world.seed, STREAMS.index(stream), split])


def draw_directions(
    world: SyntheticWorld,
) -> tuple[Float64[np.ndarray, "classes dim"], Float64[np.ndarray, "attributes dim"]]:
    """Return the directions of the classes and of the attributes, all orthonormal."""
    shape = (world.dim, world.num_classes + world.num_attributes)
    basis = np.linalg.qr(make_rng(world, "directions").standard_normal(shape))[0].T
    return basis[: world.num_classes], basis[world.num_classes :]


def draw_groups(world: SyntheticWorld, split: int) -> Columns:
    """Return classes and attributes of the rows of a split, in random order."""
    labels = np.arange(world.rows[split], dtype=np.int32) % world.num_classes
    attributes = np.empty_like(labels)
    for label in range(world.num_classes):
        own = label % world.num_attributes
        others = np.delete(np.arange(world.num_attributes), own)
        count = np.count_nonzero(labels == label)
        num_own = round(world.correlations[split] * count)
        rest = np.resize(others, count - num_own)
        attributes[labels == label] = np.concatenate([np.full(num_own, own), rest])
    order = make_rng(world, "order", split).permutation(len(labels))
    return labels[order], attributes[order]


def draw_features(
    world: SyntheticWorld,
    e: Float64[np.ndarray, "classes dim"],
    f: Float64[np.ndarray, "attributes dim"],
    parts: list[Columns],
) -> Float32[np.ndarray, "n dim"]:
    """Return the features of all splits, whose classes and attributes are `parts`."""
    class_means = (world.class_signal / np.sqrt(2) * e).astype(np.float32)
    attribute_means = (world.attribute_signal / np.sqrt(2) * f).astype(np.float32)
    features = np.empty((sum(world.rows), world.dim), np.float32)
    start = 0
    for split, (labels, attributes) in enumerate(parts):
        block = features[start : start + len(labels)]
        make_rng(world, "noise", split).standard_normal(dtype=np.float32, out=block)
        block += class_means[labels]
        block += attribute_means[attributes]
        start += len(labels)
    return features


def replace_labels(
    world: SyntheticWorld, true_labels: Int32[np.ndarray, " n"]
) -> Int32[np.ndarray, " n"]:
    """Return the labels with those of `label_noise` of the training rows replaced."""
    labels = true_labels.copy()
    order = make_rng(world, "wrong_rows").permutation(world.train_rows)
    wrong = order[: round(world.label_noise * world.train_rows)]
    shifts = make_rng(world, "wrong_labels").integers(1, world.num_classes, len(wrong))
    labels[wrong] = (labels[wrong] + shifts) % world.num_classes
    return labels
