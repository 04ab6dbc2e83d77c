"""Parquet and Feather files, read with pyarrow (the extra `parquet`)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clip_cfr.cache.format.nested import load_json
from clip_cfr.cache.packages import missing_package
from clip_cfr.extract.datasets.tables.cells import to_text
from clip_cfr.extract.datasets.tables.table import Table, make_table
from clip_cfr.extract.errors import ExtractError

PARQUET_MAGIC, FEATHER_MAGIC = b"PAR1", b"ARROW1"


def read_parquet(path: Path, keep_blank_rows: bool = False) -> Table:
    """Read the columns of a Parquet or Feather file that hold text, numbers, booleans or dates.

    Values become text by `to_text`; other columns are left out. Rows are counted from 1.
    `Table.value_names` has the names of Hugging Face's ClassLabel columns.

    Args:
        path: the file.
        keep_blank_rows: keep rows of nulls, which are dropped otherwise.

    Raises:
        ExtractError: pyarrow is not installed, or the file is not valid, has no such column or no
            rows.
    """
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise ExtractError(f"{path} is a Parquet file: {missing_package(error)}") from error
    try:
        columns, metadata = read_columns(path)
    except (pa.ArrowException, OSError) as error:
        first_line = str(error).partition("\n")[0]
        raise ExtractError(f"{path} is not a valid Parquet file ({first_line})") from error
    if not columns:
        raise ExtractError(f"{path} has no column of text or numbers, expected filename and label")
    rows = enumerate(zip(*columns.values(), strict=True), 1)
    table = make_table(path, list(columns), rows, keep_blank_rows)
    return replace(table, value_names=read_value_names(metadata))


def read_columns(path: Path) -> tuple[dict[str, list[str]], dict[bytes, bytes]]:
    """Return the values of each flat column as text, by name, and the metadata of the schema.

    The content of the file decides whether it is read as Feather or as Parquet.

    Raises:
        ArrowException: the file is not valid.
        OSError: the file cannot be read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    with path.open("rb") as file:
        is_feather = file.read(len(FEATHER_MAGIC)) == FEATHER_MAGIC
    if is_feather:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    else:
        with parquet.ParquetFile(path) as file:
            names = [field.name for field in file.schema_arrow if is_flat(field.type)]
            table = file.read(columns=names)
    columns = {
        field.name: to_texts(table.column(field.name).to_pylist())
        for field in table.schema
        if is_flat(field.type)
    }
    return columns, table.schema.metadata or {}


def is_flat(type: Any) -> bool:
    """Return whether an Arrow type is neither nested nor binary.

    Text, numbers, booleans, dates, times and null are flat. A dictionary type is flat if the type
    of its values is.
    """
    from pyarrow import types

    if types.is_dictionary(type):
        return is_flat(type.value_type)
    return not (types.is_nested(type) or is_binary(type))


def is_binary(type: Any) -> bool:
    """Return whether values of an Arrow type are bytes, such as those of images."""
    from pyarrow import types

    kinds = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return any(is_kind(type) for is_kind in (*kinds, types.is_binary_view))


def to_texts(values: Sequence[Any]) -> list[str]:
    """Return each value as text: text unchanged, any other value converted by `to_text`."""
    return [value if isinstance(value, str) else to_text(value) for value in values]


def read_value_names(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Return the class names of each column that is a ClassLabel of Hugging Face.

    Args:
        metadata: metadata of an Arrow schema, whose key `huggingface` holds JSON.

    Returns:
        Names in the order of their numbers, by column: `{"label": ("cat", "dog")}`. Empty without
        such metadata or if they are not valid.
    """
    try:
        features = load_json(metadata[b"huggingface"])["info"]["features"]
        return {
            name: tuple(feature["names"])
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError):
        return {}
