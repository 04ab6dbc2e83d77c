"""The initial head of an import: a given projection, or the identity."""

import numpy as np

from clip_cfr.cache.format.identity import IdentityMatrix
from clip_cfr.cache.format.schema import Head
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.reference import ArrayReference
from clip_cfr.extract.importing.class_embeddings import describe_transposed
from clip_cfr.extract.importing.read_matrix import read_matrix

# The upper limit of the logit scale in CLIP's training, which CLIP's models reach.
LOGIT_SCALE = 100.0
# Largest number of columns for which the head is the identity: 1 GiB in float32. Training holds
# several matrices of this size.
MAX_IDENTITY_DIM = 16_384


def read_head(
    projection: ArrayReference | None, features: str, dim: int
) -> tuple[Head, tuple[str, ...]]:
    """Return the initial head, and a note if it is the identity or the projection is transposed.

    The head has no bias and the logit scale 100. A matrix (P, dim) with P other than `dim` is
    transposed.

    Args:
        projection: the file of a matrix (dim, P); None selects the identity.
        features: name of the features, for messages.
        dim: number of columns of the features.

    Raises:
        ExtractError: the projection cannot be read, holds NaN or infinity, or has another shape, or
            the identity would be too large.
    """
    if projection is None:
        check_identity_size(features, dim)
        note = f"no projection was given: the head starts as the identity, {dim} x {dim}"
        return Head(IdentityMatrix(dim), bias=None, logit_scale=LOGIT_SCALE), (note,)
    matrix, notes = read_matrix(projection), ()
    if len(matrix) != dim and matrix.shape[1] == dim:
        matrix, notes = matrix.T, (describe_transposed(projection, matrix.shape),)
    if len(matrix) != dim:
        raise ExtractError(
            f"{projection} has shape {matrix.shape}, expected ({dim}, P), as {features} has {dim} "
            "columns"
        )
    return Head(np.ascontiguousarray(matrix), bias=None, logit_scale=LOGIT_SCALE), notes


def check_identity_size(features: str, dim: int) -> None:
    """Raise ExtractError if `dim` is above `MAX_IDENTITY_DIM`, too large an identity to train."""
    if dim <= MAX_IDENTITY_DIM:
        return
    raise ExtractError(
        f"{features} has {dim:,} columns: without a projection the head would be an identity of "
        f"{dim:,} x {dim:,}, which takes {4 * dim**2 / 1e9:.3g} GB of memory and several times "
        f"that in training (the limit is {MAX_IDENTITY_DIM:,} columns); give a matrix "
        f"({dim}, P) with --projection, or reduce the columns first, for example with "
        "sklearn.decomposition.PCA"
    )
