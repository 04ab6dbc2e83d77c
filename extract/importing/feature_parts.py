"""Features as they come: a matrix in a file, or the files of a folder of clip-retrieval."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clip_cfr.cache.format.layout import ArraySource
from clip_cfr.extract.datasets.tables.read_table import read_table
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
        reference: the file or folder.
        rows: features (n, dim), float16 or float32.
        read_table: reads the table of the rows in the file or folder, such as ids; None if none.
        notes: notes for the user on the choice of columns.
    """

    reference: ArrayReference
    rows: ArraySource
    read_table: Callable[[], Table] | None = None
    notes: Sequence[str] = ()


def open_features(references: Sequence[ArrayReference], stack: ExitStack) -> list[FeaturePart]:
    """Open all features.

    Args:
        references: the files and folders.
        stack: the files stay open until this closes.

    Raises:
        ExtractError: a file cannot be read, or their numbers of columns differ.
    """
    parts = [open_part(reference, stack) for reference in references]
    for part in parts[1:]:
        if part.rows.shape[1] != parts[0].rows.shape[1]:
            raise ExtractError(
                f"{part.reference} has {part.rows.shape[1]} columns, expected "
                f"{parts[0].rows.shape[1]} as in {parts[0].reference}: features of one model"
            )
    return parts


def open_part(reference: ArrayReference, stack: ExitStack) -> FeaturePart:
    """Open a file or folder of features."""
    if reference.path.is_dir():
        return open_folder(reference, stack)
    matrix = open_matrix(reference, stack)
    return FeaturePart(matrix.reference, matrix, matrix.read_table, matrix.notes)


def open_folder(reference: ArrayReference, stack: ExitStack) -> FeaturePart:
    """Open a folder that clip-retrieval has written, or its folder `img_emb`.

    Raises:
        ExtractError: the folder has another layout, or a file of metadata does not belong to its
            file of embeddings.
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
    """Return the files whose name has a form, by their number and in its order."""
    names = folder.iterdir() if folder.is_dir() else ()
    matches = {path: pattern.fullmatch(path.name) for path in names}
    numbered = {int(match[1]): path for path, match in matches.items() if match}
    return dict(sorted(numbered.items()))


def describe_folder(folder: Path) -> str:
    """Return the first names in a folder."""
    names = sorted(path.name for path in folder.iterdir())
    more = ", ..." if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more or "nothing"


def read_parts(paths: Sequence[Path], lengths: Sequence[int]) -> Table:
    """Read the metadata of all parts of a folder.

    Raises:
        ExtractError: a file does not have as many rows as its part.
    """
    return concatenate_tables([*read_checked(paths, lengths)])


def read_checked(paths: Sequence[Path], lengths: Sequence[int]) -> Iterator[Table]:
    """Yield the tables of files that have the expected numbers of rows."""
    for path, length in zip(paths, lengths, strict=True):
        table = read_table(path)
        if len(table) != length:
            raise ExtractError(
                f"{path} has {len(table)} rows, expected {length} as the embeddings of this part"
            )
        yield table
