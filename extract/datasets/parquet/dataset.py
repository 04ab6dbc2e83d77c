"""Images in Parquet files, as Hugging Face writes them.

The root is a folder of files, one file, or a pattern such as `data/train-{00000..00007}.parquet`.
Columns:

    image                    a struct of bytes and path, bytes, or paths relative to the folder
    label, place, split ...  numbers, names, or classes of Hugging Face, whose names are known

Splits may come from the names of the files (`train-00000-of-00008.parquet`), and labels from a list
(--metadata) that names rows by their ids: the paths beside the bytes, a column such as `image_id`,
or else the name of the file and the number of the row, from 0. Row groups are read a few rows at a
time.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from clip_cfr.extract.datasets.archives.archive_manifest import make_archive_manifest
from clip_cfr.extract.datasets.archives.find_archives import Archives, find_archives
from clip_cfr.extract.datasets.archives.sample_table import SYNONYMS
from clip_cfr.extract.datasets.archives.samples import Samples, make_unique_ids
from clip_cfr.extract.datasets.common.metadata_manifest import LIST_OPTIONS, make_manifest
from clip_cfr.extract.datasets.common.options import DatasetOptions
from clip_cfr.extract.datasets.parquet.parquet_files import (
    FileInfo,
    choose_image_column,
    read_info,
    read_struct_paths,
    read_texts,
)
from clip_cfr.extract.datasets.parquet.parquet_source import ParquetImages
from clip_cfr.extract.datasets.tables.read_table import read_table
from clip_cfr.extract.datasets.tables.roles import FILENAME, simplify
from clip_cfr.extract.datasets.tables.table import concatenate
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.manifest import Manifest

OPTIONS = ("metadata", *LIST_OPTIONS)
ENDINGS = (".parquet", ".pq", ".parq")
EXAMPLE = "data/train-{00000..00007}-of-00008.parquet"


def load(root: Path, options: DatasetOptions) -> Manifest:
    """Read the rows of Parquet files whose images are bytes in the files, or paths beside them.

    Raises:
        ExtractError: there is no file, one is damaged or lacks the column of images, or there are
            no labels.
        OptionError: an option does not fit.
    """
    archives = find_archives(root, ENDINGS, EXAMPLE)
    infos = [read_info(path) for path in archives.paths]
    chosen = None if options.metadata else (options.columns or {}).get(FILENAME.name)
    column = choose_image_column(infos[0], chosen)
    require_column(infos, column)
    if column in infos[0].path_columns:
        return load_paths(archives, column, options)
    samples = read_samples(root, archives, infos, column, options)
    return make_archive_manifest("parquet", samples, options)


def require_column(infos: Sequence[FileInfo], column: str) -> None:
    """Raise ExtractError if a file lacks the column of images.

    Args:
        infos: description of each file.
        column: name of the column, which the first file has.
    """
    for info in infos:
        if column not in info.names:
            raise ExtractError(
                f"{info.path} has no column {column}, as {infos[0].path} has, found the columns "
                f"{', '.join(info.names)}; leave one of them out of --root"
            )


def load_paths(archives: Archives, column: str, options: DatasetOptions) -> Manifest:
    """Return the manifest of files that list the paths of images, relative to `archives.folder`.

    Args:
        archives: the files.
        column: the column of paths.
        options: those of `make_manifest`.

    Raises:
        ExtractError: a file is not valid, or an image is missing.
        OptionError: an option does not fit.
    """
    columns = {**(options.columns or {}), FILENAME.name: column}
    table = concatenate([read_table(path, columns) for path in archives.paths])
    made = make_manifest(table, dataset="parquet", root=archives.folder, options=options)
    warnings = (*archives.warnings, *made.manifest.warnings)
    return replace(made.manifest, warnings=warnings)


def read_samples(
    root: Path,
    archives: Archives,
    infos: Sequence[FileInfo],
    column: str,
    options: DatasetOptions,
) -> Samples:
    """Return the rows of all files, file after file, without decoding the images.

    Args:
        root: the root that the user gave.
        archives: the files.
        infos: description of each file.
        column: the column of images.
        options: `metadata` and `columns` say which fields to read.

    Raises:
        ExtractError: the files have no rows, a file is damaged, or an id is not unique.
    """
    sizes = [sum(info.row_group_sizes) for info in infos]
    if not sum(sizes):
        raise ExtractError(f"{root}: the {len(infos):,} Parquet files have no rows")
    archive_of = np.repeat(np.arange(len(infos), dtype=np.int32), sizes)
    images = locate_rows(archives, infos, column, archive_of)
    names = choose_fields(infos, column, options)
    numbers = np.concatenate([np.arange(size) for size in sizes])
    return Samples(
        root=root,
        archives=archives,
        archive_of=archive_of,
        ids=read_ids(archives, infos, column, archive_of),
        fields=read_fields(infos, names),
        field_names=[name for name in infos[0].names if name != column],
        images=images,
        positions=np.stack([numbers, np.array(images.sizes)[archive_of]], axis=1),
        value_names=infos[0].value_names,
        warnings=archives.warnings,
    )


def locate_rows(
    archives: Archives, infos: Sequence[FileInfo], column: str, archive_of: Int32[np.ndarray, " n"]
) -> ParquetImages:
    """Return the image source of the rows of all files.

    Args:
        archives: the files.
        infos: description of each file.
        column: the column of images.
        archive_of: index of the file of each row.
    """
    group_sizes = [size for info in infos for size in info.row_group_sizes]
    group_numbers = [i for info in infos for i in range(len(info.row_group_sizes))]
    return ParquetImages(
        paths=archives.paths,
        sizes=tuple(info.size for info in infos),
        column=column,
        folder=archives.folder,
        files=archive_of,
        groups=np.repeat(np.array(group_numbers, np.int32), group_sizes),
        positions=np.concatenate([np.arange(size) for size in group_sizes]),
    )


def choose_fields(
    infos: Sequence[FileInfo], column: str, options: DatasetOptions
) -> tuple[str, ...]:
    """Return the flat columns to read: those with the name of a role or named by the user.

    Columns of any file count, but not that of the images. Empty if the labels come from a list
    (`options.metadata`).
    """
    if options.metadata is not None:
        return ()
    columns = options.columns or {}
    wanted = SYNONYMS | {simplify(name) for role, name in columns.items() if role != FILENAME.name}
    flat = dict.fromkeys(name for info in infos for name in info.flat_columns)
    return tuple(name for name in flat if simplify(name) in wanted and name != column)


def read_fields(infos: Sequence[FileInfo], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the values of flat columns as text, one for each row of all files, by name.

    They are the empty text where a file lacks the column.

    Raises:
        ExtractError: a file is damaged.
    """
    columns: dict[str, list[str]] = {name: [] for name in names}
    for info in infos:
        values = read_texts(info.path, [name for name in names if name in info.flat_columns])
        for name in names:
            columns[name] += values.get(name, [""] * sum(info.row_group_sizes))
    return {name: tuple(values) for name, values in columns.items()}


def read_ids(
    archives: Archives, infos: Sequence[FileInfo], column: str, archive_of: Int32[np.ndarray, " n"]
) -> tuple[str, ...]:
    """Return the unique id of each row of all files.

    These are the paths in the structs, else the values of the first column of ids, else `FILE/ROW`
    with the row of the file from 0. Values that are repeated or empty within a file are not ids;
    those that repeat in another file get its name in front.

    Args:
        archives: the files.
        infos: description of each file.
        column: the column of images.
        archive_of: index of the file of each row.

    Raises:
        ExtractError: a file is damaged, or two files of one name have an id in common.
    """
    for values in (read_path_ids(infos, column), read_column_ids(infos, column)):
        if values and all(values) and are_unique(values, archive_of):
            return make_unique_ids(values, archive_of, archives)
    rows = [str(row) for info in infos for row in range(sum(info.row_group_sizes))]
    pairs = zip(archive_of.tolist(), rows, strict=True)
    return tuple(f"{archives.names[archive]}/{row}" for archive, row in pairs)


def read_path_ids(infos: Sequence[FileInfo], column: str) -> list[str]:
    """Return the path in the struct of each row of all files; the empty text where it has none.

    An empty list if the column is not a struct in every file, and no values for a file whose
    structs have no paths.
    """
    if not all(column in info.structs for info in infos):
        return []
    return [path or "" for info in infos for path in read_struct_paths(info.path, column)]


def read_column_ids(infos: Sequence[FileInfo], column: str) -> list[str]:
    """Return the values, in all files, of the first column with a name of ids or image names.

    An empty list if the first file has no such flat column, or another file lacks it.
    """
    flat = [name for name in infos[0].flat_columns if name != column]
    names = [name for tier in FILENAME.tiers() for name in flat if simplify(name) in tier]
    if not names or not all(names[0] in info.flat_columns for info in infos):
        return []
    return [value for info in infos for value in read_texts(info.path, names[:1])[names[0]]]


def are_unique(values: Sequence[str], archive_of: Int32[np.ndarray, " n"]) -> bool:
    """Return whether there is a value for each row, and none occurs twice in a file.

    Args:
        values: the values.
        archive_of: index of the file of each row.
    """
    if len(values) != len(archive_of):
        return False
    return len(set(zip(archive_of.tolist(), values, strict=True))) == len(values)
