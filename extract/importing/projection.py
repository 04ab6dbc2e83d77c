"""The initial head of an import: a given projection, or the identity."""

import numpy as np

from clip_cfr.cache.format.schema import Head
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from clip_cfr.extract.importing.read_arrays import read_matrix

# The upper limit of the logit scale in CLIP's training, which CLIP's models reach.
LOGIT_SCALE = 100.0


def read_head(files: EmbeddingFiles, dim: int) -> tuple[Head, tuple[str, ...]]:
    """Return the initial head, and a note if it is the identity.

    Args:
        files: `projection` is read; `features` is named in messages.
        dim: number of columns of the features.

    Raises:
        ExtractError: if the projection cannot be read or does not have `dim` rows.
    """
    if files.projection is None:
        note = f"no projection was given: the head starts as the identity, {dim} x {dim}"
        return Head(np.eye(dim, dtype=np.float32), bias=None, logit_scale=LOGIT_SCALE), (note,)
    projection = read_matrix(files.projection).astype(np.float32)
    if len(projection) != dim:
        remedy = "; it looks transposed, save its .T" if projection.shape[1] == dim else ""
        raise ExtractError(
            f"{files.projection} has shape {projection.shape}, expected ({dim}, P), "
            f"as {files.features} has {dim} columns{remedy}"
        )
    return Head(projection, bias=None, logit_scale=LOGIT_SCALE), ()
