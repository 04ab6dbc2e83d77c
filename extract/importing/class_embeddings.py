"""Class embeddings of an import: given ones, or the class means of the training split."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from clip_cfr.extract.importing.read_arrays import read_nonzero_rows
from clip_cfr.extract.manifest.manifest import Manifest

# Largest deviation from unit length that is not worth a note.
LENGTH_TOLERANCE = 1e-3
MEANS_NOTE = (
    "no class embeddings were given: they are the unit-length class means of the training split, "
    "so zero-shot is a nearest-mean classifier that has seen the training labels"
)

ClassEmbeddings = Float32[np.ndarray, "classes embedding"]


def read_or_average_class_embeddings(
    files: EmbeddingFiles,
    manifest: Manifest,
    features: Float[np.ndarray, "n dim"],
    projection: Float32[np.ndarray, "dim embedding"],
) -> tuple[ClassEmbeddings, tuple[str, ...]]:
    """Return unit-length class embeddings, and notes on their origin.

    Args:
        files: `class_embeddings` is read; None selects the class means of the training split.
        manifest: labels, splits and class names of the rows.
        features: features of the rows, before the projection.
        projection: initial projection.

    Raises:
        ExtractError: if the file cannot be read or has another shape, or a class has no training
            row to average.
    """
    if files.class_embeddings is None:
        require_training_rows(files.metadata, manifest)
        return average_training_rows(manifest, features, projection), (MEANS_NOTE,)
    return read_class_embeddings(
        files.class_embeddings, manifest.class_names, num_columns=projection.shape[1]
    )


def read_class_embeddings(
    path: Path, class_names: tuple[str, ...], num_columns: int
) -> tuple[ClassEmbeddings, tuple[str, ...]]:
    """Read class embeddings and scale them to unit length; note if they had another length."""
    embeddings = read_nonzero_rows(path).astype(np.float32)
    expected = (len(class_names), num_columns)
    if embeddings.shape != expected:
        raise ExtractError(
            f"{path} has shape {embeddings.shape}, expected {expected}: a row for each of the "
            f"classes {', '.join(class_names)} and a column for each output of the head"
        )
    lengths = np.linalg.norm(embeddings, axis=1)
    if np.abs(lengths - 1).max() <= LENGTH_TOLERANCE:
        return scale_to_unit_length(embeddings), ()
    note = (
        f"the class embeddings had lengths from {lengths.min():.3g} to {lengths.max():.3g} and "
        "were scaled to unit length"
    )
    return scale_to_unit_length(embeddings), (note,)


def require_training_rows(metadata: Path, manifest: Manifest) -> None:
    """Raise ExtractError if a class has no row in the training split."""
    present = set(manifest.rows.labels[manifest.rows.splits == 0].tolist())
    missing = [name for label, name in enumerate(manifest.class_names) if label not in present]
    if missing:
        raise ExtractError(
            f"{metadata} has no training row of class {', '.join(missing)}, so its mean is "
            "undefined; give --class-embeddings, or training rows of every class"
        )


def average_training_rows(
    manifest: Manifest,
    features: Float[np.ndarray, "n dim"],
    projection: Float32[np.ndarray, "dim embedding"],
) -> ClassEmbeddings:
    """Return the unit-length mean of the unit-length embeddings of each class's training rows."""
    is_training = manifest.rows.splits == 0
    means = []
    for label in range(len(manifest.class_names)):
        rows = np.flatnonzero(is_training & (manifest.rows.labels == label))
        embeddings = scale_to_unit_length(features[rows].astype(np.float32) @ projection)
        means.append(embeddings.mean(axis=0))
    return scale_to_unit_length(np.stack(means))


def scale_to_unit_length(
    vectors: Float32[np.ndarray, "n embedding"],
) -> Float32[np.ndarray, "n embedding"]:
    """Scale each row to unit length."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
