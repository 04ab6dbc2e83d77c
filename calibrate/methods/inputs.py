"""Inputs of linear classifiers: features as stored, or embeddings, chunk by chunk."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from clip_cfr.calibrate.core.experiment import Experiment
from clip_cfr.calibrate.core.head import Head, embed_in_chunks

CHUNK_ROWS = 8192


def input_chunks(
    experiment: Experiment, head: Head | None, rows: Int[np.ndarray, " rows"]
) -> Iterator[Float[np.ndarray, "chunk inputs"]]:
    """Yield the inputs of rows of the task in float32, in their order.

    Args:
        experiment: gives the task; its features may be in a file.
        head: gives unit-length embeddings; None for features as stored.
        rows: row indices, ascending.
    """
    if head is not None:
        chunks = embed_in_chunks(head, experiment.prepared.features, rows)
        yield from (embeddings for _, embeddings in chunks)
        return
    features = experiment.task.features
    for start in range(0, len(rows), CHUNK_ROWS):
        yield features[rows[start : start + CHUNK_ROWS]].astype(np.float32)


def load_inputs(
    experiment: Experiment,
    head: Head | None,
    rows: Int[np.ndarray, " rows"],
    *,
    constant: bool = False,
) -> Float[np.ndarray, "rows inputs"]:
    """Return the inputs of rows in float64, the type that the solvers compute in.

    Args:
        experiment, head, rows: as in `input_chunks`.
        constant: add a last column of ones.
    """
    count = count_inputs(experiment, head)
    inputs = np.ones((len(rows), count + constant))
    start = 0
    for chunk in input_chunks(experiment, head, rows):
        inputs[start : start + len(chunk), :count] = chunk
        start += len(chunk)
    return inputs


def count_inputs(experiment: Experiment, head: Head | None) -> int:
    """Return the number of features, or of dimensions of an embedding if there is a head."""
    dim, embedding = experiment.task.projection.shape
    return dim if head is None else embedding
