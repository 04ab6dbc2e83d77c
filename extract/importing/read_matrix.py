"""Matrices that are read as a whole: class embeddings and projections."""

from contextlib import ExitStack

import numpy as np
from jaxtyping import Bool, Float32

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.matrix import open_matrix
from clip_cfr.extract.importing.arrays.reference import ArrayReference

MAX_NAMED_ROWS = 10


def read_matrix(reference: ArrayReference) -> Float32[np.ndarray, "rows columns"]:
    """Read a whole matrix of finite numbers into memory, as float32.

    Raises:
        ExtractError: the file cannot be read, has no such matrix, or a row holds NaN, infinity or a
            number beyond the range of float32.
    """
    with ExitStack() as stack:
        matrix = open_matrix(reference, stack)
        numbers = matrix[:].astype(np.float32)
    reject_rows(reference, "contain NaN or infinity", ~np.isfinite(numbers).all(axis=1))
    return numbers


def reject_rows(reference: ArrayReference, fault: str, faulty: Bool[np.ndarray, " rows"]) -> None:
    """Raise ExtractError, with the first ten row indices, if any row is faulty.

    Args:
        reference: the file, for the message.
        fault: verb phrase that describes the fault, such as `contain NaN`.
        faulty: mask of the faulty rows.
    """
    rows = np.flatnonzero(faulty)
    if not len(rows):
        return
    named = ", ".join(map(str, rows[:MAX_NAMED_ROWS]))
    more = ", ..." if len(rows) > MAX_NAMED_ROWS else ""
    raise ExtractError(
        f"{reference}: {len(rows)} of {len(faulty)} rows {fault} (indices from 0: {named}{more}); "
        "compute them again"
    )
