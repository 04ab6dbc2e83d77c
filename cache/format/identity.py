"""Identity matrix whose rows are computed when they are read, because a dense one may be large."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True)
class IdentityMatrix:
    """The identity matrix (dim, dim) in float32; rows are computed when they are sliced.

    Attributes:
        dim: number of rows and of columns.
    """

    dim: int
    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Return (dim, dim)."""
        return self.dim, self.dim

    def __getitem__(self, rows: slice) -> Float32[np.ndarray, "rows dim"]:
        """Return the rows of a slice, whose step must be 1; bounds are clipped as for a list."""
        start, stop, _ = rows.indices(self.dim)
        return np.eye(max(0, stop - start), self.dim, k=start, dtype=self.dtype)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """Return the dense matrix, float32 unless `dtype` is given."""
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)
