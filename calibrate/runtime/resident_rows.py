"""Choose how many rows of features are in memory at a time."""

from collections.abc import Sequence

import numpy as np

from clip_cfr.calibrate.runtime.memory import physical_memory


def choose_resident_rows(
    requested: int | None, shape: Sequence[int], dtype: np.dtype | str
) -> int | None:
    """Return the number of rows of features to have in memory at a time; None for all of them.

    Args:
        requested: number that the user asks for; None for the default: all rows if they fit in half
            of the memory, else as many as fit in a quarter.
        shape: rows and columns of the features.
        dtype: type of the features.
    """
    rows, columns = shape
    resident = requested or count_fitting_rows(rows, columns * np.dtype(dtype).itemsize)
    return None if resident is None or resident >= rows else resident


def count_fitting_rows(rows: int, row_bytes: int) -> int | None:
    """Return the number of rows that fit in a quarter of physical memory; None if all fit in half.

    If the system does not report its memory, all rows are assumed to fit.

    Args:
        rows: number of all rows.
        row_bytes: size of a row in bytes.
    """
    memory = physical_memory()
    if memory is None or 2 * rows * row_bytes <= memory:
        return None
    return memory // (4 * row_bytes)
