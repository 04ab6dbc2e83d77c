"""Warn of classes whose embeddings are equal, so that zero-shot never tells them apart."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float32

from clip_cfr.extract.datasets.common.class_names import spelling_key

# Largest difference of equal embeddings in each column: rounding, in batches of another size.
TOLERANCE = 1e-5
SHOWN_PAIRS = 5


def warn_of_equal_classes(
    dataset: str, names: Sequence[str], embeddings: Float32[np.ndarray, "classes embedding"]
) -> tuple[str, ...]:
    """Return a tuple of one warning if the embeddings of classes are equal, otherwise an empty one.

    It names up to SHOWN_PAIRS pairs. Classes whose names differ in spelling alone do not count:
    they have a warning already.

    Args:
        dataset: name of the data set.
        names: class names.
        embeddings: unit-length class embeddings.
    """
    pairs = [
        (names[first], names[second])
        for first, second in find_equal_rows(embeddings)
        if spelling_key(names[first]) != spelling_key(names[second])
    ]
    if not pairs:
        return ()
    shown = ", ".join(f"{first!r} and {second!r}" for first, second in pairs[:SHOWN_PAIRS])
    more = f" and {len(pairs) - SHOWN_PAIRS} more" if len(pairs) > SHOWN_PAIRS else ""
    return (
        f"{dataset}: the class embeddings of {shown}{more} are equal, so zero-shot cannot tell "
        "them apart; give them other names or prompts, or merge the classes",
    )


def find_equal_rows(matrix: Float32[np.ndarray, "rows columns"]) -> list[tuple[int, int]]:
    """Return sorted pairs of rows that are equal up to TOLERANCE in each column.

    The smaller index comes first. Of several equal rows, each is paired with the next one only: k
    equal rows give k - 1 pairs.
    """
    # Equal rows are neighbours in the order of their products with any vector.
    products = matrix @ np.random.default_rng(0).normal(size=matrix.shape[1])
    order = np.argsort(products, kind="stable").tolist()
    equal = [
        (min(pair), max(pair))
        for pair in pairwise(order)
        if np.abs(matrix[pair[0]] - matrix[pair[1]]).max() <= TOLERANCE
    ]
    return sorted(equal)
