"""Features that are read row by row."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int


@runtime_checkable
class RowSource(Protocol):
    """A matrix that is read row by row, for example from a file."""

    shape: tuple[int, int]
    dtype: np.dtype

    def __getitem__(self, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows dim"]:
        """Read rows by their indices, which ascend."""
