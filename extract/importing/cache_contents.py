"""The contents of a cache made of existing embeddings, without images and without a model."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from clip_cfr.cache.format.schema import FeatureCache, Texts
from clip_cfr.extract.datasets.common.finish import finish_manifest
from clip_cfr.extract.datasets.common.metadata_manifest import ListedManifest, make_manifest
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.tables.read_table import read_table
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
    options: DatasetOptions | None = None,
) -> tuple[FeatureCache, tuple[str, ...]]:
    """Read existing embeddings as the contents of a cache; the images need not exist.

    Without a projection the head starts as the identity, and without class embeddings they are the
    class means of the training split.

    Args:
        files: features, metadata file and, optionally, class embeddings and projection.
        dataset: name of the data set, which the cache records.
        options: options of the list, such as class names and the seed of splits that are drawn.

    Returns:
        The cache, and notes on assumptions that the user should know of.

    Raises:
        OptionError: if an option does not fit the list.
        ExtractError: if a file cannot be read, or the files do not match each other.
    """
    listed = read_manifest(files, dataset, options or DatasetOptions())
    manifest, features = listed.manifest, read_features(files, listed)
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


def read_manifest(files: EmbeddingFiles, dataset: str, options: DatasetOptions) -> ListedManifest:
    """Return the manifest of the metadata file, whose rows need no images."""
    table = read_table(files.metadata, options.columns)
    listed = make_manifest(table, dataset=dataset, options=options)
    return replace(listed, manifest=finish_manifest(listed.manifest, options, has_prompts=False))


def read_features(files: EmbeddingFiles, listed: ListedManifest) -> Float[np.ndarray, "n dim"]:
    """Read the features of the rows that are not left out.

    Raises:
        ExtractError: if the file does not have a row for each entry of the list.
    """
    features = read_nonzero_rows(files.features)
    if len(features) != listed.num_entries:
        raise ExtractError(
            f"{files.features} has {len(features)} rows, but {files.metadata} has "
            f"{listed.num_entries}, expected one row for each image, in the same order"
        )
    is_complete = len(listed.entries) == listed.num_entries
    return features if is_complete else features[listed.entries]


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
