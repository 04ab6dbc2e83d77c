"""Import of existing embeddings: the Python API of the command `import`."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from clip_cfr.cache.words.add import add_words
from clip_cfr.cache.write.output import check_output
from clip_cfr.cache.write.writer import write_cache
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.cache_contents import open_cache_contents
from clip_cfr.extract.importing.embedding_files import Files, make_embedding_files

SMALLER = (
    "save the features as float16 in a .npy file, which is read block by block, import fewer rows, "
    "or use a machine with more memory"
)


def import_embeddings(
    features: Files,
    metadata: Files | None,
    out: str | Path,
    *,
    class_embeddings: str | Path | None = None,
    projection: str | Path | None = None,
    words: str | Path | None = None,
    dataset: str = "imported",
    columns: Mapping[str, str] | None = None,
    drop_missing: bool | None = None,
    class_names: Sequence[str] | Mapping[str, str] | None = None,
    ignore_splits: Sequence[str] | None = None,
    split_by: str | None = None,
    val_fraction: float | None = None,
    seed: int | None = None,
    skip_unusable: bool = False,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Write the cache file `out` from embeddings that another program computed.

    The images need not exist. docs/data.md lists the kinds of files that are read; an array in a
    file of several is named as in `F.npz:features`.

    Args:
        features: file with a matrix (n, D), or folder of clip-retrieval; or several, whose rows
            follow one another.
        metadata: list of the rows (CSV, TSV, JSON Lines, Parquet, .xlsx) with the columns
            filename,label[,attribute][,split]; or one for each of several features. None if the
            features bring ids and labels.
        out: the cache file.
        class_embeddings: file with a matrix (classes, P); by default the class means of the
            training split.
        projection: file with a matrix (D, P); by default the identity.
        words: words file of the model that computed the features, whose words the cache keeps.
        dataset: name of the data set, which the cache records.
        columns: column of the list by its role (filename, label, attribute, split, subject), where
            its name does not tell.
        drop_missing: leave out rows with a missing value, instead of an error.
        class_names: names of the classes in the order of the labels, or new names by old ones.
        ignore_splits: values in the column of splits whose rows are left out.
        split_by: column whose values drawn splits do not share.
        val_fraction: fraction of the training rows that is drawn as val, if there is none.
        seed: seed of splits that are drawn at random.
        skip_unusable: keep rows without features, and rows of zeros, NaN, infinity or very large
            numbers, as not valid, instead of an error.
        overwrite: whether to replace a finished file.

    Returns:
        Notes on assumptions that the user should know of.

    Raises:
        OptionError: an option does not fit the files.
        ExtractError: a file cannot be read, the files do not match each other, rows are not usable,
            or memory runs out.
        CacheError: `out` is finished, is one of the files to read or not a cache, or is being
            written by another process.
    """
    files = make_embedding_files(features, metadata, class_embeddings, projection)
    words_path = None if words is None else Path(words).expanduser()
    inputs = (*files.paths, words_path)
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
    try:
        with ExitStack() as stack:
            cache, notes = open_cache_contents(files, stack, dataset, options, skip_unusable)
            cache = cache if words_path is None else add_words(cache, words_path)
            write_cache(out, cache, overwrite, inputs)
    except MemoryError as error:
        named = " + ".join(map(str, files.features))
        raise ExtractError(f"{named}: out of memory during import ({error}); {SMALLER}") from error
    return notes
