"""Arrays in nested dicts and lists, as pickles and files of torch.save hold them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from clip_cfr.cache.format.layout import ArraySource
from clip_cfr.extract.importing.arrays.sources import ConcatenatedRows

# Returns a value as an array, or None if it is not one.
AsArray = Callable[[Any], ArraySource | None]


def find_arrays(content: Any, as_array: AsArray) -> dict[str, ArraySource]:
    """Return the arrays in nested dicts and lists, by dotted names such as `train.features`.

    A list of arrays of one width, such as those of batches, is one array, and so is a list of
    numbers or strings. The entries of any other list are named by their index, such as `batches.0`.
    An array that is not in a dict or list has the empty name. Other values are left out.

    Args:
        content: the value to search.
        as_array: converts a value.
    """
    return dict(_iterate_arrays("", content, as_array))


def _iterate_arrays(
    name: str, content: Any, as_array: AsArray
) -> Iterator[tuple[str, ArraySource]]:
    array = as_array(content)
    if array is not None:
        yield name, array
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _iterate_arrays(f"{name}.{key}" if name else str(key), value, as_array)
    elif isinstance(content, list | tuple) and content:
        concatenated = concatenate_list(content, as_array)
        if concatenated is not None:
            yield name, concatenated
        else:
            entries = {str(index): each for index, each in enumerate(content)}
            yield from _iterate_arrays(name, entries, as_array)


def concatenate_list(content: Sequence[Any], as_array: AsArray) -> ArraySource | None:
    """Return a list of numbers, strings or arrays of one width as one array, else None.

    Numbers and strings give a vector, vectors of equal lengths the rows of a matrix, and arrays
    with more axes are concatenated along the first.

    Args:
        content: the list.
        as_array: converts an entry.
    """
    if all(isinstance(each, str | int | float) for each in content):
        return np.array(content)
    parts = [as_array(each) for each in content]
    if any(part is None or not part.shape for part in parts):
        return None
    if len({part.shape[1:] for part in parts}) > 1:
        return None
    if len(parts[0].shape) > 1:
        return ConcatenatedRows(parts)
    # Vectors, one for each row.
    return np.stack([part[:] for part in parts]) if len({*map(len_of, parts)}) == 1 else None


def len_of(array: ArraySource) -> int:
    """Return the length of the first axis of an array."""
    return array.shape[0]
