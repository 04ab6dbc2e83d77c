"""Groups named in words: class x the value of an attribute that is described in words alone.

The value of a row is the one whose text embedding is most similar to the embedding of the image
under CLIP's own head. No label of an attribute is used.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from clip_cfr.calibrate.core.row_source import RowSource

# Rows that are projected at a time.
CHUNK_ROWS = 4096
# Named groups with fewer rows do not count: one row with a wrong value would decide.
SMALLEST = 3
# The accuracy of a group, of any kind, with fewer rows is uncertain.
FEW_ROWS = 20


@dataclass(frozen=True)
class NamedAttribute:
    """An attribute whose values are described in words, with the value of each row.

    Attributes:
        name: name of the attribute.
        values: names of its values, at least two.
        indices: value of each row, an index into `values`; -1 for a row that is left out: it is not
            valid, of a split that was not asked for, or its margin is below the threshold.
        margins: cosine similarity of the row with its value minus that with the next best one; NaN
            for a row that was not compared.
    """

    name: str
    values: tuple[str, ...]
    indices: Int32[np.ndarray, " n"]
    margins: Float32[np.ndarray, " n"]


@dataclass(frozen=True)
class Grouping:
    """Groups of rows to train on: class x the values of all named attributes.

    Attributes:
        indices: group of each row; -1 for a row without a value.
        names: name of each group, its class and its values.
    """

    indices: Int32[np.ndarray, " n"]
    names: tuple[tuple[str, ...], ...]


def measure_similarities(
    features: Float[np.ndarray, "n dim"] | RowSource,
    rows: Int[np.ndarray, " rows"],
    projection: Float[np.ndarray, "dim embedding"],
    bias: Float[np.ndarray, " embedding"] | None,
    words: Float[np.ndarray, "words embedding"],
) -> Float32[np.ndarray, "rows words"]:
    """Return the cosine similarity of each row with each text embedding, under CLIP's own head.

    Args:
        features: features as stored, in memory or in a file.
        rows: indices of rows, ascending.
        projection, bias: CLIP's own head; no bias if None.
        words: text embeddings of unit length.
    """
    similarities = np.zeros((len(rows), len(words)), np.float32)
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = slice(start, start + CHUNK_ROWS)
        embeddings = np.asarray(features[rows[chunk]], np.float32) @ projection
        embeddings = embeddings if bias is None else embeddings + bias
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        similarities[chunk] = embeddings / np.maximum(lengths, 1e-30) @ words.T
    return similarities


def assign_values(
    similarities: Float32[np.ndarray, "rows values"],
) -> tuple[Int32[np.ndarray, " rows"], Float32[np.ndarray, " rows"]]:
    """Return the most similar value of each row, and by how much it is above the next best one."""
    ordered = np.partition(similarities, -2, axis=1)
    return similarities.argmax(axis=1).astype(np.int32), ordered[:, -1] - ordered[:, -2]


def number_cells(
    labels: Int[np.ndarray, " n"], named: tuple[NamedAttribute, ...], num_classes: int
) -> Int32[np.ndarray, "n attributes"]:
    """Return the named group of each row for each attribute; groups of all attributes are numbered.

    The groups of an attribute follow those of the attributes before it, and their number is
    `label * number of values + value`. A row without a value gets `count_cells`, which is no group.
    """
    columns, start = [], 0
    missing = count_cells(named, num_classes)
    for each in named:
        cells = start + labels * len(each.values) + each.indices
        columns.append(np.where(each.indices >= 0, cells, missing))
        start += num_classes * len(each.values)
    return np.stack(columns, axis=1).astype(np.int32)


def count_cells(named: tuple[NamedAttribute, ...], num_classes: int) -> int:
    """Return the number of named groups of all attributes, those without rows included."""
    return num_classes * sum(len(each.values) for each in named)


def count_rows(cells: Int[np.ndarray, "rows attributes"], num_cells: int) -> np.ndarray:
    """Return the rows of each named group, and 0 at the end for rows without a value."""
    counts = np.bincount(cells.ravel(), minlength=num_cells + 1)
    counts[num_cells] = 0
    return counts


def count_large(
    cells: Int[np.ndarray, "rows attributes"], num_cells: int
) -> Int[np.ndarray, " groups"]:
    """Return `count_rows`, with 0 for groups that do not count.

    Groups of fewer than `SMALLEST` rows do not count, unless all are so small.
    """
    counts = count_rows(cells, num_cells)
    large = counts >= SMALLEST
    return np.where(large, counts, 0) if large.any() else counts


def worst_accuracy(
    correct: Bool[np.ndarray, "*classifiers rows"],
    cells: Int[np.ndarray, "rows attributes"],
    num_cells: int,
) -> Float[np.ndarray, "*classifiers"]:
    """Return the lowest accuracy over the named groups that count, for each classifier.

    Args:
        correct: whether each classifier is right about each row.
        cells: named groups of each row, see `number_cells`.
        num_cells: number of named groups.

    Returns:
        Accuracies in [0, 1]; infinity if no row has a value.
    """
    by_row = correct.reshape(-1, correct.shape[-1])
    accuracies = accuracies_of(by_row, cells, count_large(cells, num_cells))
    return accuracies.min(axis=1, initial=np.inf).reshape(correct.shape[:-1])


def criterion_value(
    correct: Bool[np.ndarray, "*classifiers rows"],
    labels: Int[np.ndarray, " rows"],
    cells: Int[np.ndarray, "rows attributes"],
    num_cells: int,
) -> Float[np.ndarray, "*classifiers"]:
    """Return the value of the criterion `worst-named-group`, for each classifier.

    It is the lowest accuracy over the named groups. If one of them has fewer than `SMALLEST` rows,
    the lowest of the others is mostly that of groups that are never wrong, and a single row would
    decide for the small ones. Then it is the mean of average accuracy, worst-class accuracy, and
    the mean accuracy over the named groups with rows, as that of `inferred-groups`.

    Args:
        correct: whether each classifier is right about each row.
        labels: class of each row.
        cells: named groups of each row, see `number_cells`.
        num_cells: number of named groups.

    Returns:
        Values in [0, 1]; infinity if no row has a value.
    """
    counts = count_rows(cells, num_cells)
    by_row = correct.reshape(-1, correct.shape[-1])
    if not counts.any():
        return np.full(correct.shape[:-1], np.inf)
    accuracies = accuracies_of(by_row, cells, counts)
    values = accuracies.min(axis=1)
    if (counts[:num_cells] < SMALLEST).any():
        by_class = accuracies_of(by_row, labels[:, None], np.bincount(labels))
        values = (by_row.mean(axis=1) + by_class.min(axis=1) + accuracies.mean(axis=1)) / 3
    return values.reshape(correct.shape[:-1])


def accuracies_of(
    correct: Bool[np.ndarray, "classifiers rows"],
    cells: Int[np.ndarray, "rows attributes"],
    counts: Int[np.ndarray, " cells"],
) -> Float[np.ndarray, "classifiers present"]:
    """Return the accuracy of each classifier in each cell whose count is above 0."""
    present = counts > 0
    hits = [hits_of(each, cells, len(counts) - 1) for each in correct]
    return np.stack(hits)[:, present] / counts[present]


def hits_of(
    correct: Bool[np.ndarray, " rows"], cells: Int[np.ndarray, "rows attributes"], num_cells: int
) -> Float[np.ndarray, " groups"]:
    """Return the number of correct rows of each named group, and of rows without one at the end."""
    return np.bincount(
        cells.ravel(), weights=np.repeat(correct, cells.shape[1]), minlength=num_cells + 1
    )


def join_attributes(
    labels: Int[np.ndarray, " n"],
    named: tuple[NamedAttribute, ...],
    class_names: tuple[str, ...],
) -> Grouping:
    """Return the groups of class x the values of all attributes that occur in some row.

    A row without a value in one of the attributes is in no group.
    """
    values = np.stack([labels, *(each.indices for each in named)], axis=1)
    has_all = (values >= 0).all(axis=1)
    distinct, group = np.unique(values[has_all], axis=0, return_inverse=True)
    indices = np.full(len(labels), -1, np.int32)
    indices[has_all] = group.reshape(-1)
    names = (class_names, *(each.values for each in named))
    return Grouping(
        indices,
        tuple(tuple(of[index] for of, index in zip(names, row, strict=True)) for row in distinct),
    )
