"""How many rows of features to hold in memory at a time."""

import os
from collections.abc import Sequence

import numpy as np


def rows_to_hold(asked: int | None, shape: Sequence[int], dtype: np.dtype | str) -> int | None:
    """The number asked for, else what a quarter of the memory holds; None stands for all rows.

    Without a number all rows are held as long as they fit in half of the memory.

    Args:
        shape, dtype: of the features.
    """
    rows, width = shape
    held = asked or rows_that_fit(rows, width * np.dtype(dtype).itemsize)
    return None if held is None or held >= rows else held


def rows_that_fit(rows: int, row_bytes: int) -> int | None:
    """Rows in a quarter of the memory; None where all fit in half of it, or nobody can say."""
    if not hasattr(os, "sysconf"):
        return None
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None if 2 * rows * row_bytes <= memory else memory // (4 * row_bytes)
