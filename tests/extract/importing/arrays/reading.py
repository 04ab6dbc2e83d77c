"""Matrices read from files in the tests of the readers."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.matrix import open_matrix
from clip_cfr.extract.importing.arrays.reference import parse_reference


def read(text: str | Path) -> np.ndarray:
    """Return the matrix of a file or `FILE:KEY`, after comparing whole and block-wise reads."""
    with ExitStack() as stack:
        matrix = open_matrix(parse_reference(text), stack)
        whole, size = matrix[:], 2
        blocks = [matrix[start : start + size] for start in range(0, matrix.shape[0], size)]
        np.testing.assert_array_equal(np.concatenate(blocks), whole)
        assert whole.shape == matrix.shape
        assert whole.dtype == matrix.dtype
        return whole


def read_columns(path: Path) -> dict[str, tuple[str, ...]] | None:
    """Return the other columns of a file, or None if it has none."""
    with ExitStack() as stack:
        matrix = open_matrix(parse_reference(path), stack)
        return None if matrix.read_table is None else matrix.read_table().columns


def read_notes(path: Path) -> list[str]:
    """Return the notes on the choice of columns."""
    with ExitStack() as stack:
        return [*open_matrix(parse_reference(path), stack).notes]


def read_error(text: str | Path) -> str:
    """Return the message of the exception that reading raises, with DIR for the folder."""
    with pytest.raises(ExtractError) as error:
        read(text)
    return str(error.value).replace(str(parse_reference(text).path.parent), "DIR")
