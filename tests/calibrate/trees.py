"""Comparison of trees of arrays, leaf by leaf."""

import jax
import numpy as np


def assert_trees_equal(found, expected) -> None:
    """Raise AssertionError, which names each leaf that differs, unless all bits are equal."""
    differences = list_differences(found, expected)
    assert not differences, "\n".join(differences)


def list_differences(found, expected) -> list[str]:
    """Describe each leaf that differs in shape, dtype or values; NaN equals NaN."""
    structures = jax.tree.structure(found), jax.tree.structure(expected)
    assert structures[0] == structures[1], f"found {structures[0]}, expected {structures[1]}"
    pairs = jax.tree.map(
        lambda x, y: describe_difference(np.asarray(x), np.asarray(y)), found, expected
    )
    return [
        f"{jax.tree_util.keystr(path)}: {difference}"
        for path, difference in jax.tree.leaves_with_path(pairs)
        if difference
    ]


def describe_difference(found: np.ndarray, expected: np.ndarray) -> str:
    """Return how two arrays differ; an empty string if they do not."""
    kinds = [f"{array.dtype}{list(array.shape)}" for array in (found, expected)]
    if kinds[0] != kinds[1]:
        return f"found {kinds[0]}, expected {kinds[1]}"
    equal = (found == expected) | ((found != found) & (expected != expected))
    if equal.all():
        return ""
    first = np.unravel_index(int(equal.argmin()), equal.shape)
    index = list(map(int, first))
    return (
        f"{np.count_nonzero(~equal)} of {equal.size} entries differ; the first at {index}: "
        f"found {found[first]}, expected {expected[first]}"
    )
