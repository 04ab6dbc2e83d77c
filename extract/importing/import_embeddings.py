"""Import of existing embeddings: the Python API of the command `import`."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

from clip_cfr.cache.write.output import check_output
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.importing.cache_contents import read_cache_contents
from clip_cfr.extract.importing.embedding_files import EmbeddingFiles


def import_embeddings(
    features: str | Path,
    metadata: str | Path,
    out: str | Path,
    *,
    class_embeddings: str | Path | None = None,
    projection: str | Path | None = None,
    dataset: str = "imported",
    columns: Mapping[str, str] | None = None,
    drop_missing: bool | None = None,
    class_names: Sequence[str] | Mapping[str, str] | None = None,
    ignore_splits: Sequence[str] | None = None,
    split_by: str | None = None,
    val_fraction: float | None = None,
    seed: int | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Write the cache file `out` from embeddings that another program computed.

    The images need not exist.

    Args:
        features: file with a matrix (n, D).
        metadata: list of the rows (CSV, TSV, JSON Lines, Parquet, .xlsx) with the columns
            filename,label[,attribute][,split].
        out: the cache file.
        class_embeddings: file with a matrix (classes, P); by default the class means of the
            training split.
        projection: file with a matrix (D, P); by default the identity.
        dataset: name of the data set, which the cache records.
        columns: column of the list by its role (filename, label, attribute, split, subject), where
            its name does not tell.
        drop_missing: leave out rows with a missing value, instead of an error.
        class_names: names of the classes in the order of the labels, or new names by old ones.
        ignore_splits: values in the column of splits whose rows are left out.
        split_by: column whose values drawn splits do not share.
        val_fraction: fraction of the training rows that is drawn as val, if there is none.
        seed: seed of splits that are drawn at random.
        overwrite: whether to replace a finished file.

    Returns:
        Notes on assumptions that the user should know of.

    Raises:
        OptionError: if the class names do not match.
        ExtractError: if a file cannot be read, or the files do not match each other.
        CacheError: if `out` is finished, is one of the files to read or no cache, or is being
            written by another process.
    """
    files = EmbeddingFiles(features, metadata, class_embeddings, projection)
    inputs = astuple(files)
    check_output(Path(out), overwrite, inputs)
    options = DatasetOptions(
        columns=columns,
        drop_missing=drop_missing,
        class_names=class_names,
        ignore_splits=ignore_splits,
        split_by=split_by,
        val_fraction=val_fraction,
        seed=seed,
    )
    cache, notes = read_cache_contents(files, dataset, options)
    write_cache(out, cache, overwrite, inputs)
    return notes
