"""The contents of a cache made of existing embeddings, without images and without a model."""

from contextlib import ExitStack

import numpy as np

from clip_cfr.cache.format.schema import FeatureCache, Texts
from clip_cfr.extract.datasets.common.finish import finish_manifest
from clip_cfr.extract.datasets.common.metadata_manifest import make_manifest
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.equal_classes import warn_of_equal_classes
from clip_cfr.extract.importing.arrays.sources import MaskedRows, SelectedRows
from clip_cfr.extract.importing.class_embeddings import (
    MEANS_NOTE,
    ClassEmbeddings,
    average_training_rows,
    read_class_embeddings,
)
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles
from clip_cfr.extract.importing.feature_parts import open_features
from clip_cfr.extract.importing.lists import match_lists
from clip_cfr.extract.importing.matching import describe_parts
from clip_cfr.extract.importing.projection import read_head
from clip_cfr.extract.importing.provenance import make_provenance
from clip_cfr.extract.importing.scan import check_usable, describe_unusable, scan_features
from clip_cfr.extract.manifest.manifest import Manifest


def open_cache_contents(
    files: EmbeddingFiles,
    stack: ExitStack,
    dataset: str = "imported",
    options: DatasetOptions | None = None,
    skip_unusable: bool = False,
) -> tuple[FeatureCache, tuple[str, ...]]:
    """Return existing embeddings as the contents of a cache; the images need not exist.

    The features are read once to check them, and again when the cache is written. Without a
    projection the head starts as the identity, and without class embeddings they are the class
    means of the training split.

    Args:
        files: features, lists and, optionally, class embeddings and projection.
        stack: the files of the features stay open until this closes.
        dataset: name of the data set, which the cache records.
        options: options of the list (see `make_manifest`), class names and `val_fraction`.
        skip_unusable: keep rows without features, and rows of zeros, NaN, infinity or magnitudes
            above `MAX_FEATURE`, as not valid, instead of an error.

    Returns:
        The cache, and notes on assumptions that the user should know of. The rows have the order of
        the features, after them those without features. The features are not in memory: slices of
        them are read from the files.

    Raises:
        OptionError: an option does not fit the files, or a list is needed.
        ExtractError: a file cannot be read, the files do not match each other, or rows are not
            usable (with `skip_unusable`: no row is).
    """
    options = options or DatasetOptions()
    parts = open_features(files.features, stack)
    dim = parts[0].rows.shape[1]
    head, head_notes = read_head(files.projection, describe_parts(parts), dim)
    matched = match_lists(files, parts, options, skip_unusable)
    listed = make_manifest(matched.table, dataset=dataset, options=options)
    manifest = finish_manifest(listed.manifest, options, has_prompts=False)
    features = SelectedRows(matched.features, listed.entries)
    labels = training_labels(manifest)
    scan = scan_features(features, labels, len(manifest.class_names), head.projection)
    origins = (matched.parts[listed.entries], matched.origins[listed.entries])
    faults = [*describe_unusable(scan, [str(part.reference) for part in parts], *origins)]
    check_usable(scan, faults, skip_unusable)
    if files.class_embeddings is None:
        means = average_training_rows(scan.class_sums, manifest, str(matched.table.path))
        class_embeddings, class_notes = means, (MEANS_NOTE,)
    else:
        class_embeddings, class_notes = read_class_embeddings(
            files.class_embeddings,
            manifest.class_names,
            num_columns=head.projection.shape[1],
            has_projection=files.projection is not None,
        )
        equal = warn_of_equal_classes(dataset, manifest.class_names, class_embeddings)
        class_notes = (*class_notes, *equal)
    cache = FeatureCache(
        dataset=dataset,
        rows=manifest.rows,
        valid=scan.usable,
        features=MaskedRows(features, scan.usable),
        head=head,
        texts=make_texts(manifest, class_embeddings),
        provenance=make_provenance(files, manifest),
    )
    kept = tuple(f"{fault}; kept as not valid" for fault in faults)
    part_notes = [note for part in parts for note in part.notes]
    notes = (*part_notes, *matched.notes, *manifest.warnings, *kept, *head_notes, *class_notes)
    return cache, notes


def training_labels(manifest: Manifest) -> np.ndarray:
    """Return the class index of each row, int32 (n,); -1 for rows outside the training split."""
    return np.where(manifest.rows.splits == 0, manifest.rows.labels, -1)


def make_texts(manifest: Manifest, class_embeddings: ClassEmbeddings) -> Texts:
    """Return the names and class embeddings of a cache that has no prompts.

    The tuples of prompts are empty, and `class_prompt_embeddings` has shape (0, embedding).
    """
    return Texts(
        class_names=manifest.class_names,
        attribute_names=manifest.attribute_names,
        class_prompts=(),
        attribute_prompts=(),
        class_embeddings=class_embeddings,
        class_prompt_embeddings=np.zeros((0, class_embeddings.shape[1]), np.float32),
    )
