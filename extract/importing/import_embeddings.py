"""A cache made of embeddings that exist already, wherever they come from."""

import hashlib
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from clip_cfr.cache.format.schema import FeatureCache, Head, Texts
from clip_cfr.extract.datasets.common.csv_table import read_csv
from clip_cfr.extract.datasets.common.overrides import with_class_names
from clip_cfr.extract.datasets.folder import listed_manifest
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.read_arrays import read_matrix, read_vectors
from clip_cfr.extract.manifest.manifest import Manifest

# The limit that CLIP's training ran into.
LOGIT_SCALE = 100.0
TOLERANCE = 1e-3
MEANS_NOTE = (
    "no class embeddings were given: they are the unit-length class means of the training split, "
    "so zero-shot is a nearest-mean classifier that has seen the training labels"
)


@dataclass(frozen=True)
class EmbeddingFiles:
    """The files that an import reads.

    Attributes:
        features: matrix (n, dim), one row for each row of the metadata.
        metadata: CSV file as for the data set `folder`; its images need not exist.
        class_embeddings: matrix (classes, embedding); None for class means.
        projection: matrix (dim, embedding); None for the identity.
    """

    features: Path
    metadata: Path
    class_embeddings: Path | None = None
    projection: Path | None = None


def import_embeddings(
    files: EmbeddingFiles,
    dataset: str = "imported",
    class_names: tuple[str, ...] | None = None,
    seed: int | None = None,
) -> tuple[FeatureCache, tuple[str, ...]]:
    """The cache, and notes on what was assumed, for the user to read.

    Raises:
        OptionError: the class names do not fit.
        ExtractError: a file cannot be read, or the files do not belong together.
    """
    manifest, features = read_rows(files, dataset, class_names, seed)
    head, head_notes = read_head(files, features.shape[1])
    texts, text_notes = read_texts(files, manifest, features, head)
    cache = FeatureCache(
        dataset=dataset,
        rows=manifest.rows,
        valid=np.ones(len(features), bool),
        features=features,
        head=head,
        texts=texts,
        provenance=provenance(files, manifest),
    )
    return cache, (*manifest.warnings, *head_notes, *text_notes)


def read_rows(
    files: EmbeddingFiles, dataset: str, class_names: tuple[str, ...] | None, seed: int | None
) -> tuple[Manifest, Float[np.ndarray, "n dim"]]:
    """The manifest and the features of its rows."""
    table = read_csv(files.metadata)
    manifest = listed_manifest(dataset, table, files.metadata.parent, class_names, seed)
    if class_names is not None:
        manifest = with_class_names(manifest, class_names)
    features = read_vectors(files.features)
    if len(features) != len(manifest.rows):
        raise ExtractError(
            f"{files.features} has {len(features)} rows, but {files.metadata} {len(table)}; "
            "expected one row for each image, in the same order"
        )
    return manifest, features


def read_head(files: EmbeddingFiles, dim: int) -> tuple[Head, tuple[str, ...]]:
    """The head to start from, and a note where it is the identity."""
    if files.projection is None:
        note = f"no projection was given: the head starts as the identity, {dim} x {dim}"
        return Head(np.eye(dim, dtype=np.float32), bias=None, logit_scale=LOGIT_SCALE), (note,)
    projection = read_matrix(files.projection).astype(np.float32)
    if len(projection) != dim:
        turned = "; it looks transposed, save its .T" if projection.shape[1] == dim else ""
        raise ExtractError(
            f"{files.projection} has shape {projection.shape}, expected ({dim}, ..), "
            f"as {files.features} has {dim} columns{turned}"
        )
    return Head(projection, bias=None, logit_scale=LOGIT_SCALE), ()


def read_texts(
    files: EmbeddingFiles, manifest: Manifest, features: Float[np.ndarray, "n dim"], head: Head
) -> tuple[Texts, tuple[str, ...]]:
    """The names and class embeddings, and notes on where the latter come from."""
    path = files.class_embeddings
    if path is None:
        embeddings, notes = class_means(manifest, features, head), (MEANS_NOTE,)
    else:
        embeddings, notes = read_class_embeddings(path, manifest.class_names, head)
    texts = Texts(
        class_names=manifest.class_names,
        attribute_names=manifest.attribute_names,
        class_prompts=(),
        attribute_prompts=(),
        class_embeddings=embeddings,
        class_prompt_embeddings=np.zeros((0, embeddings.shape[1]), np.float32),
    )
    return texts, notes


def read_class_embeddings(
    path: Path, class_names: tuple[str, ...], head: Head
) -> tuple[Float32[np.ndarray, "classes embedding"], tuple[str, ...]]:
    """The class embeddings of a file, of unit length, and a note where they were of another."""
    embeddings = read_vectors(path).astype(np.float32)
    expected = (len(class_names), head.projection.shape[1])
    if embeddings.shape != expected:
        raise ExtractError(
            f"{path} has shape {embeddings.shape}, expected {expected}: a row for each of the "
            f"classes {', '.join(class_names)}, a column for each of the head's outputs"
        )
    lengths = np.linalg.norm(embeddings, axis=1)
    if np.abs(lengths - 1).max() <= TOLERANCE:
        return unit(embeddings), ()
    shortest, longest = lengths.min(), lengths.max()
    note = f"the class embeddings had lengths of {shortest:.3g} to {longest:.3g} and were made 1"
    return unit(embeddings), (note,)


def class_means(
    manifest: Manifest, features: Float[np.ndarray, "n dim"], head: Head
) -> Float32[np.ndarray, "classes embedding"]:
    """The mean embedding of each class in the training split, of unit length."""
    rows = [
        np.flatnonzero((manifest.rows.splits == 0) & (manifest.rows.labels == label))
        for label in range(len(manifest.class_names))
    ]
    empty = [name for name, found in zip(manifest.class_names, rows, strict=True) if not len(found)]
    if empty:
        raise ExtractError(
            f"the training split has no row of class {', '.join(empty)}, so its mean is unknown; "
            "give --class-embeddings, or rows of every class"
        )
    embeddings = [unit(features[found].astype(np.float32) @ head.projection) for found in rows]
    return unit(np.stack([of_class.mean(axis=0) for of_class in embeddings]))


def unit(vectors: Float32[np.ndarray, "n embedding"]) -> Float32[np.ndarray, "n embedding"]:
    """The vectors scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def provenance(files: EmbeddingFiles, manifest: Manifest) -> dict[str, Any]:
    """Where everything came from, in JSON types."""
    return {
        "model": "imported",
        "features": source(files.features),
        "projection": "identity" if files.projection is None else source(files.projection),
        "class_embeddings": (
            "class means of the training split"
            if files.class_embeddings is None
            else source(files.class_embeddings)
        ),
        "manifest_sha256": manifest.sha256(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"numpy": np.__version__, "python": platform.python_version()},
    }


def source(path: Path) -> dict[str, str]:
    """A file's name, and the digest of what it holds."""
    with path.open("rb") as file:
        return {"file": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
