"""Class embeddings of an import: given ones, or the class means of the training split."""

import numpy as np
from jaxtyping import Float32, Float64

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.reference import ArrayReference
from clip_cfr.extract.importing.read_matrix import read_matrix, reject_rows
from clip_cfr.extract.manifest.manifest import Manifest

# Largest deviation from unit length that is not worth a note.
LENGTH_TOLERANCE = 1e-3
MEANS_NOTE = (
    "no class embeddings were given: they are the unit-length class means of the training split, "
    "so zero-shot is a nearest-mean classifier that has seen the training labels"
)

ClassEmbeddings = Float32[np.ndarray, "classes embedding"]


def read_class_embeddings(
    reference: ArrayReference,
    class_names: tuple[str, ...],
    num_columns: int,
    has_projection: bool,
) -> tuple[ClassEmbeddings, tuple[str, ...]]:
    """Read class embeddings and scale them to unit length.

    A matrix (num_columns, classes) is recognized by its shape and transposed.

    Args:
        reference: the file.
        class_names: names of the classes in the order of the rows.
        num_columns: number of outputs of the head.
        has_projection: whether a projection is given, for the message.

    Returns:
        The embeddings (classes, num_columns), and a note for each change: transposed, or scaled
        because a length deviates from 1 by more than `LENGTH_TOLERANCE`.

    Raises:
        ExtractError: the file cannot be read, has another shape, or a row of zeros, NaN or
            infinity.
    """
    embeddings = read_matrix(reference)
    expected, notes = (len(class_names), num_columns), []
    if embeddings.shape != expected and embeddings.shape == expected[::-1]:
        notes.append(describe_transposed(reference, embeddings.shape))
        embeddings = embeddings.T
    if embeddings.shape != expected:
        raise ExtractError(
            f"{reference} has shape {embeddings.shape}, expected {expected}: a row for each of the "
            f"classes {', '.join(class_names)} and a column for each output of the head"
            + suggest_projection(embeddings.shape, expected, has_projection)
        )
    reject_rows(reference, "are all zero and have no direction", ~embeddings.any(axis=1))
    lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    if np.abs(lengths - 1).max() > LENGTH_TOLERANCE:
        notes.append(
            f"the class embeddings had lengths from {lengths.min():.3g} to {lengths.max():.3g} and "
            "were scaled to unit length"
        )
    unit = (embeddings / lengths[:, None]).astype(np.float32)
    return np.ascontiguousarray(unit), tuple(notes)


def describe_transposed(reference: ArrayReference, shape: tuple[int, ...]) -> str:
    """Return the note on a matrix that is transposed before use. `shape` is that of the file."""
    return f"{reference} has shape {shape}: it was transposed before use"


def suggest_projection(
    shape: tuple[int, ...], expected: tuple[int, ...], has_projection: bool
) -> str:
    """Return the advice to give --projection, as the end of the message on a wrong shape.

    Args:
        shape: shape of the matrix of class embeddings.
        expected: (classes, outputs of the head).
        has_projection: whether a projection is given already.

    Returns:
        Text that begins with `; `. Empty if there is a projection, or the number of rows is wrong
        too.
    """
    if has_projection or shape[0] != expected[0]:
        return ""
    return (
        f"; the features have {expected[1]} columns: give the matrix ({expected[1]}, {shape[1]}) "
        "that maps them to these embeddings with --projection"
    )


def average_training_rows(
    sums: Float64[np.ndarray, "classes embedding"], manifest: Manifest, metadata: str
) -> ClassEmbeddings:
    """Return the unit-length mean of the unit-length embeddings of each class's training rows.

    Args:
        sums: sum of these embeddings of each class.
        manifest: names of the classes, for the message.
        metadata: name of the list, for the message.

    Raises:
        ExtractError: the sum of a class is zero, as without a usable training row.
    """
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    missing = [manifest.class_names[label] for label in np.flatnonzero(lengths == 0)]
    if missing:
        raise ExtractError(
            f"{metadata} has no training row of class {', '.join(missing)}, so its mean is "
            "undefined; give --class-embeddings, or training rows of every class"
        )
    return (sums / lengths).astype(np.float32)
