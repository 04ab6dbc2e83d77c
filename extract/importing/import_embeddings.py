"""Import of existing embeddings: the Python API of the command `import`."""

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from clip_cfr.cache.write.output import check_output
from clip_cfr.cache.write.writer import write_cache
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
    class_names: Sequence[str] | None = None,
    seed: int | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Write the cache file `out` from embeddings that another program computed.

    The images need not exist.

    Args:
        features: file with a matrix (n, D).
        metadata: CSV file that lists the rows, with the columns
            filename,label[,attribute][,split].
        out: the cache file.
        class_embeddings: file with a matrix (classes, P); by default the class means of the
            training split.
        projection: file with a matrix (D, P); by default the identity.
        dataset: name of the data set, which the cache records.
        class_names: names of the classes in the order of the labels.
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
    names = None if class_names is None else tuple(class_names)
    cache, notes = read_cache_contents(files, dataset, names, seed)
    write_cache(out, cache, overwrite, inputs)
    return notes
