"""The contents of a cache made of existing embeddings, without images and without a model."""

import numpy as np
from jaxtyping import Float

from clip_cfr.cache.format.schema import FeatureCache, Texts
from clip_cfr.extract.datasets.common.metadata_manifest import make_manifest
from clip_cfr.extract.datasets.common.overrides import override_class_names
from clip_cfr.extract.datasets.tables.table import read_csv
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.class_embeddings import (
    ClassEmbeddings,
    read_or_average_class_embeddings,
)
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from clip_cfr.extract.importing.projection import read_head
from clip_cfr.extract.importing.provenance import make_provenance
from clip_cfr.extract.importing.read_arrays import read_nonzero_rows
from clip_cfr.extract.manifest.manifest import Manifest


def read_cache_contents(
    files: EmbeddingFiles,
    dataset: str = "imported",
    class_names: tuple[str, ...] | None = None,
    seed: int | None = None,
) -> tuple[FeatureCache, tuple[str, ...]]:
    """Read existing embeddings as the contents of a cache; the images need not exist.

    Without a projection the head starts as the identity, and without class embeddings they are the
    class means of the training split.

    Args:
        files: features, metadata file and, optionally, class embeddings and projection.
        dataset: name of the data set, which the cache records.
        class_names: names of the classes in the order of the labels; by default those in the
            metadata file.
        seed: seed of the splits that are drawn if the metadata file has none.

    Returns:
        The cache, and notes on assumptions that the user should know of.

    Raises:
        OptionError: if the class names do not match the classes.
        ExtractError: if a file cannot be read, or the files do not match each other.
    """
    manifest = read_manifest(files, dataset, class_names, seed)
    features = read_features(files, len(manifest.rows))
    head, head_notes = read_head(files, features.shape[1])
    class_embeddings, class_notes = read_or_average_class_embeddings(
        files, manifest, features, head.projection
    )
    cache = FeatureCache(
        dataset=dataset,
        rows=manifest.rows,
        valid=np.ones(len(features), bool),
        features=features,
        head=head,
        texts=make_texts(manifest, class_embeddings),
        provenance=make_provenance(files, manifest),
    )
    return cache, (*manifest.warnings, *head_notes, *class_notes)


def read_manifest(
    files: EmbeddingFiles, dataset: str, class_names: tuple[str, ...] | None, seed: int | None
) -> Manifest:
    """Return the manifest of the metadata file."""
    manifest = make_manifest(
        read_csv(files.metadata),
        dataset=dataset,
        root=files.metadata.parent,
        class_names=class_names,
        seed=seed,
    )
    return manifest if class_names is None else override_class_names(manifest, class_names)


def read_features(files: EmbeddingFiles, num_rows: int) -> Float[np.ndarray, "n dim"]:
    """Read the features. Raise ExtractError if they do not have `num_rows` rows."""
    features = read_nonzero_rows(files.features)
    if len(features) != num_rows:
        raise ExtractError(
            f"{files.features} has {len(features)} rows, but {files.metadata} has {num_rows}, "
            "expected one row for each image, in the same order"
        )
    return features


def make_texts(manifest: Manifest, class_embeddings: ClassEmbeddings) -> Texts:
    """Return the names and class embeddings of a cache that has no prompts."""
    return Texts(
        class_names=manifest.class_names,
        attribute_names=manifest.attribute_names,
        class_prompts=(),
        attribute_prompts=(),
        class_embeddings=class_embeddings,
        class_prompt_embeddings=np.zeros((0, class_embeddings.shape[1]), np.float32),
    )
