"""Rows of numbers that lie one after the other in a plain file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clip_cfr.cache.errors import FieldError


@dataclass(frozen=True)
class FlatRows:
    """The features of a growing cache: slices of rows are read from the file, nothing is held."""

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype

    @property
    def row_bytes(self) -> int:
        return self.shape[1] * self.dtype.itemsize

    def num_whole(self) -> int:
        """How many rows the file holds to their last byte."""
        return self.path.stat().st_size // self.row_bytes

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows start to stop - 1, (stop - start, dim)."""
        start, stop, _ = rows.indices(self.shape[0])
        with open(self.path, "rb") as file:
            file.seek(start * self.row_bytes)
            data = file.read((stop - start) * self.row_bytes)
        if len(data) < (stop - start) * self.row_bytes:
            raise FieldError("features", f"{stop} rows in {self.path.name}", self.num_whole())
        return np.frombuffer(data, self.dtype).reshape(-1, self.shape[1])
