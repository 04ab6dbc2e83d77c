"""Parquet files: their rows, their columns, and which one holds the images."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clip_cfr.cache.format.nested import load_json
from clip_cfr.cache.packages import missing_package
from clip_cfr.extract.datasets.tables.parquet import is_binary, is_flat, read_value_names, to_texts
from clip_cfr.extract.datasets.tables.roles import FILENAME, simplify
from clip_cfr.extract.errors import ExtractError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

# Children of the struct in which Hugging Face stores an image.
BYTES, PATH = "bytes", "path"
MISSING_CLASS = "-1"


@dataclass(frozen=True)
class FileInfo:
    """The description of a Parquet file, made from its footer.

    Attributes:
        path: the file.
        size: its length in bytes.
        row_group_sizes: number of rows of each row group.
        names: names of its columns.
        image_columns: columns of structs with bytes, then columns of bytes; only those that Hugging
            Face's metadata mark as images, if they mark any.
        path_columns: columns of text, which may be paths of images.
        flat_columns: columns whose values are neither nested nor bytes.
        structs: columns that are structs with bytes.
        value_names: names of the numbers of ClassLabel columns, by column.
    """

    path: Path
    size: int
    row_group_sizes: tuple[int, ...]
    names: tuple[str, ...]
    image_columns: tuple[str, ...]
    path_columns: tuple[str, ...]
    flat_columns: tuple[str, ...]
    structs: tuple[str, ...]
    value_names: dict[str, tuple[str, ...]]


@contextmanager
def open_parquet(path: Path) -> Iterator["ParquetFile"]:
    """Yield the reader of a Parquet file. A context manager, which closes the file.

    Raises:
        ExtractError: pyarrow is not installed, or the file cannot be read or is not valid; errors
            of reading in the `with` block are converted too.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise ExtractError(f"{path} is a Parquet file: {missing_package(error)}") from error
    if not path.is_file():
        raise ExtractError(f"{path} is not a regular file, expected a Parquet file; check --root")
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        first_line = str(error).partition("\n")[0]
        raise ExtractError(
            f"{path} is not a valid Parquet file ({first_line}); download or write it again, or "
            "leave it out of --root"
        ) from error


def read_info(path: Path) -> FileInfo:
    """Return the description of a file; only its footer is read.

    Raises:
        ExtractError: as for `open_parquet`.
    """
    with open_parquet(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    features = read_features(schema.metadata or {})
    structs = tuple(field.name for field in schema if is_image_struct(field.type))
    binary = [field.name for field in schema if is_binary(field.type)]
    images = [name for name in (*structs, *binary) if features.get(name, "Image") == "Image"]
    marked = [name for name in images if name in features]
    flat = tuple(field.name for field in schema if is_flat(field.type))
    return FileInfo(
        path=path,
        size=os.stat(path).st_size,
        row_group_sizes=tuple(groups),
        names=tuple(schema.names),
        image_columns=tuple(marked or images),
        path_columns=tuple(field.name for field in schema if is_text(field.type)),
        flat_columns=flat,
        structs=structs,
        value_names=read_value_names(schema.metadata or {}),
    )


def is_text(type: Any) -> bool:
    """Return whether values of an Arrow type are text (string, large_string or string_view)."""
    from pyarrow import types

    return types.is_string(type) or types.is_large_string(type) or types.is_string_view(type)


def is_image_struct(type: Any) -> bool:
    """Return whether an Arrow type is a struct with a binary field `bytes`.

    Hugging Face stores images so.
    """
    from pyarrow import types

    if not types.is_struct(type):
        return False
    children = {type.field(i).name: type.field(i).type for i in range(type.num_fields)}
    return BYTES in children and is_binary(children[BYTES])


def read_features(metadata: dict[bytes, bytes]) -> dict[str, str]:
    """Return the kind of each column that Hugging Face's metadata name, such as `Image`.

    Args:
        metadata: metadata of an Arrow schema, whose key `huggingface` holds JSON.

    Returns:
        `_type` by column; empty without such metadata or if they are not valid.
    """
    try:
        features = load_json(metadata[b"huggingface"])["info"]["features"]
        return {
            name: feature["_type"]
            for name, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("_type"), str)
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def choose_image_column(info: FileInfo, chosen: str | None) -> str:
    """Return the column of images: the chosen one, else that of bytes, else that of paths.

    The column of paths is the first text column with a name of image names.

    Args:
        info: the first file.
        chosen: the column that the user names, without regard to case and punctuation; None or
            empty if the user names none.

    Raises:
        ExtractError: there is no such column, or several have bytes and none is chosen.
    """
    if chosen:
        found = [name for name in info.names if simplify(name) == simplify(chosen)]
        if chosen in info.names or len(found) == 1:
            return chosen if chosen in info.names else found[0]
        raise ExtractError(
            f"--columns filename={chosen}: {info.path} has no such column, found the columns "
            f"{', '.join(info.names)}"
        )
    synonyms = frozenset().union(*FILENAME.tiers())
    paths = [name for name in info.path_columns if simplify(name) in synonyms]
    for columns in (info.image_columns, paths[:1]):
        if len(columns) == 1:
            return columns[0]
        if columns:
            raise ExtractError(
                f"{info.path} has {len(columns)} columns of images: {', '.join(columns)}; choose "
                f"one with --columns {shlex.quote(f'filename={columns[0]}')}"
            )
    raise ExtractError(
        f"{info.path} has no column of images (bytes, or a struct of bytes and path), nor one of "
        f"their paths, found the columns {', '.join(info.names)}; name one with --columns "
        "filename=COLUMN"
    )


def read_texts(path: Path, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the values of flat columns of a file as text, by name; empty without names.

    The class -1 of a ClassLabel column becomes the empty text, because it says that the class is
    missing.

    Raises:
        ExtractError: as for `open_parquet`.
    """
    if not names:
        return {}
    with open_parquet(path) as file:
        table = file.read(columns=list(names))
        classes = read_value_names(file.schema_arrow.metadata or {})
    columns = {name: to_texts(table.column(name).to_pylist()) for name in names}
    return {
        name: tuple("" if name in classes and text == MISSING_CLASS else text for text in texts)
        for name, texts in columns.items()
    }


def read_struct_paths(path: Path, name: str) -> list[str | None]:
    """Return the path in the struct of each row, without reading the bytes.

    None in rows without a path. An empty list if the structs have no field `path`.

    Args:
        path: the file.
        name: the column of structs.

    Raises:
        ExtractError: as for `open_parquet`.
    """
    with open_parquet(path) as file:
        table = file.read(columns=[f"{name}.{PATH}"])
    if name not in table.column_names:
        return []
    return [value and value.get(PATH) for value in table.column(name).to_pylist()]
