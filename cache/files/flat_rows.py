"""Rows of numbers in a raw file, one after the other without a header."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clip_cfr.cache.errors import FieldError


@dataclass(frozen=True)
class FlatRows:
    """The rows (n, dim) of a raw file in row-major order, read from the disk when they are sliced.

    Attributes:
        path: the file, which may hold fewer than n rows while it is being written.
        shape: (n, dim).
        dtype: type of the numbers.
    """

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype

    @property
    def row_bytes(self) -> int:
        """Size of a row in bytes."""
        return self.shape[1] * self.dtype.itemsize

    def num_complete(self) -> int:
        """Return the number of complete rows in the file, which may exceed n.

        Raises:
            FileNotFoundError: the file does not exist.
        """
        return self.path.stat().st_size // self.row_bytes

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the rows of a slice, whose step must be 1, as a read-only array (rows, dim).

        Bounds are clipped to n as for a list.

        Raises:
            FieldError: the file has fewer rows.
        """
        start, stop, _ = rows.indices(self.shape[0])
        with open(self.path, "rb") as file:
            file.seek(start * self.row_bytes)
            data = file.read((stop - start) * self.row_bytes)
        if len(data) < (stop - start) * self.row_bytes:
            raise FieldError("features", f"{stop} rows in {self.path.name}", self.num_complete())
        return np.frombuffer(data, self.dtype).reshape(-1, self.shape[1])
