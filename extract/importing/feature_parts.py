"""Features as they come: a matrix in a file, or the files of a folder of clip-retrieval."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clip_cfr.cache.format.layout import ArraySource
from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.datasets.tables.parquet import read_parquet
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.matrix import open_matrix
from clip_cfr.extract.importing.arrays.reference import ArrayReference
from clip_cfr.extract.importing.arrays.sources import ConcatenatedRows
from clip_cfr.extract.importing.concatenated_tables import concatenate_tables

EMBEDDINGS_FOLDER, METADATA_FOLDER = "img_emb", "metadata"
EMBEDDINGS_FILE = re.compile(r"img_emb_(\d+)\.npy")
METADATA_FILE = re.compile(r"metadata_(\d+)\.parquet")
MAX_NAMED = 5


@dataclass(frozen=True)
class FeaturePart:
    """Features that belong together, such as those of a split.

    Attributes:
        reference: the file, with the name of the array if it has one; or the folder.
        rows: features (n, dim), float16 or float32, of which slices of rows are read.
        read_table: reads the table of the n rows in the file or folder, such as ids and labels;
            None if there is none.
        notes: notes for the user on the choice of columns.
    """

    reference: ArrayReference
    rows: ArraySource
    read_table: Callable[[], Table] | None = None
    notes: Sequence[str] = ()


def open_features(references: Sequence[ArrayReference], stack: ExitStack) -> list[FeaturePart]:
    """Open the features of each reference, in their order.

    Args:
        references: the files and folders.
        stack: the files stay open until this closes.

    Raises:
        ExtractError: a file cannot be read or has no matrix, or their numbers of columns differ.
    """
    parts = [open_part(reference, stack) for reference in references]
    for part in parts[1:]:
        if part.rows.shape[1] != parts[0].rows.shape[1]:
            raise ExtractError(
                f"{part.reference} has {count_noun(part.rows.shape[1], 'column')}, expected "
                f"{parts[0].rows.shape[1]} as in {parts[0].reference}: features of one model"
            )
    return parts


def open_part(reference: ArrayReference, stack: ExitStack) -> FeaturePart:
    """Open the matrix of a file, or the features of a folder of clip-retrieval.

    The file stays open until `stack` closes.

    Raises:
        ExtractError: the file cannot be read or has no matrix, or the folder has another layout.
    """
    if reference.path.is_dir():
        return open_folder(reference, stack)
    matrix = open_matrix(reference, stack)
    return FeaturePart(matrix.reference, matrix, matrix.read_table, matrix.notes)


def open_folder(reference: ArrayReference, stack: ExitStack) -> FeaturePart:
    """Open the features of a folder that clip-retrieval has written, or of its folder `img_emb`.

    The rows are those of `img_emb/img_emb_N.npy` in the order of the numbers; the table is that of
    `metadata/metadata_N.parquet`, None without such files. The files stay open until `stack`
    closes.

    Raises:
        ExtractError: the folder has another layout, or the numbers of the files of metadata are not
            those of the files of embeddings. `read_table` of the result raises if a file of
            metadata has another number of rows than its file of embeddings.
    """
    folder = reference.path
    root = folder.parent if folder.name == EMBEDDINGS_FOLDER else folder
    embeddings = find_numbered(root / EMBEDDINGS_FOLDER, EMBEDDINGS_FILE)
    if not embeddings:
        raise ExtractError(
            f"{folder} is a folder without {EMBEDDINGS_FOLDER}/img_emb_0.npy as clip-retrieval "
            f"writes it (it has {describe_folder(folder)}); give files, each with --features"
        )
    metadata = find_numbered(root / METADATA_FOLDER, METADATA_FILE)
    matrices = [open_matrix(ArrayReference(path), stack) for path in embeddings.values()]
    if metadata and metadata.keys() != embeddings.keys():
        differing = sorted(metadata.keys() ^ embeddings.keys())
        raise ExtractError(
            f"{root}: part {differing[0]} has no file of the same number in both "
            f"{EMBEDDINGS_FOLDER} and {METADATA_FOLDER}; complete the folder"
        )
    lengths = [matrix.shape[0] for matrix in matrices]
    read = partial(read_parts, [*metadata.values()], lengths) if metadata else None
    return FeaturePart(reference, ConcatenatedRows(matrices), read)


def find_numbered(folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    """Return the files whose whole name matches a pattern, by ascending number.

    The first group of the pattern is the number. Without such files or folder, the dict is empty.
    """
    names = folder.iterdir() if folder.is_dir() else ()
    matches = {path: pattern.fullmatch(path.name) for path in names}
    numbered = {int(match[1]): path for path, match in matches.items() if match}
    return dict(sorted(numbered.items()))


def describe_folder(folder: Path) -> str:
    """Return up to five names in a folder, sorted, such as `a.npy, b.npy`; `nothing` if empty."""
    names = sorted(path.name for path in folder.iterdir())
    more = ", ..." if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more or "nothing"


def read_parts(paths: Sequence[Path], lengths: Sequence[int]) -> Table:
    """Read the metadata of all parts of a folder as one table, in the order of `paths`.

    Args:
        paths: file of metadata of each part.
        lengths: number of rows of each part.

    Raises:
        ExtractError: a file cannot be read, or does not have as many rows as its part or the same
            columns as the first file.
    """
    return concatenate_tables([*read_checked(paths, lengths)])


def read_checked(paths: Sequence[Path], lengths: Sequence[int]) -> Iterator[Table]:
    """Yield the table of each file.

    Raises:
        ExtractError: a file cannot be read, or does not have as many rows as its entry of
            `lengths`.
    """
    for path, length in zip(paths, lengths, strict=True):
        table = read_parquet(path, keep_blank_rows=True)
        if len(table) != length:
            raise ExtractError(
                f"{path} has {count_noun(len(table), 'row')}, expected {length} as the embeddings "
                "of this part"
            )
        yield table
