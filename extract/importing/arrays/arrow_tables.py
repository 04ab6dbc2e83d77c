"""Reader of vectors and numbers in Parquet and Feather files, with pyarrow."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clip_cfr.cache.format.layout import ArraySource
from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.datasets.tables.cells import to_text
from clip_cfr.extract.datasets.tables.parquet import is_flat, read_value_names
from clip_cfr.extract.datasets.tables.table import Table, make_table
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.importing.arrays.contents import Contents
from clip_cfr.extract.importing.arrays.number_columns import (
    describe_other_columns,
    select_feature_columns,
)
from clip_cfr.extract.importing.arrays.sources import IteratedRows

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_A_TIME = 4096
# Yields batches of the given columns, from the first row on.
Batches = Callable[[Sequence[str]], Iterator["pa.RecordBatch"]]


def open_arrow(path: Path, kind: str, stack: ExitStack) -> Contents:
    """Open the vectors of a Parquet or Feather file.

    Each column of lists of floating-point numbers is an array by its name. Without such a column,
    the columns of floating-point numbers are one array without a name. The other columns of numbers
    and text are the table.

    Args:
        path: the file.
        kind: `parquet` or `arrow`.
        stack: the file stays open until this closes.

    Raises:
        ModuleNotFoundError: pyarrow is missing.
        ExtractError: the file is damaged, or a column of lists holds nulls only.
    """
    import pyarrow as pa

    try:
        open_file = open_parquet if kind == "parquet" else open_feather
        schema, num_rows, batches = open_file(path, stack)
        arrays = {
            field.name: open_vectors(path, field, num_rows, batches)
            for field in schema
            if is_vector(field.type)
        }
        return add_other_columns(path, arrays, schema, batches, num_rows)
    except (pa.ArrowException, OSError) as error:
        first_line = str(error).partition("\n")[0]
        raise ExtractError(
            f"{path} is a truncated or damaged Parquet or Feather file ({first_line}); save it "
            "again"
        ) from error


def add_other_columns(
    path: Path,
    arrays: dict[str, ArraySource],
    schema: "pa.Schema",
    batches: Batches,
    num_rows: int,
) -> Contents:
    """Return the contents of a file: its arrays, and its other flat columns as a table.

    Args:
        path: the file.
        arrays: the columns of vectors. If empty, the columns of floating-point numbers that
            `select_feature_columns` chooses become one array float32 without a name.
        schema: names and types of all columns.
        batches: reads columns.
        num_rows: number of rows of the file.
    """
    from pyarrow import types

    names = [field.name for field in schema if types.is_floating(field.type)]
    features = [] if arrays else select_feature_columns(names)
    if features:
        iterate = partial(iterate_numbers, features, batches)
        arrays = {"": IteratedRows((num_rows, len(features)), np.dtype(np.float32), iterate)}
    others = [field.name for field in schema if is_flat(field.type) and field.name not in features]
    return Contents(
        arrays=arrays,
        read_table=partial(read_columns, path, others, schema, batches) if others else None,
        notes=describe_other_columns(path, names, features) if features else (),
    )


def read_columns(path: Path, names: Sequence[str], schema: "pa.Schema", batches: Batches) -> Table:
    """Read the columns `names` as text, one entry for each row. Rows are counted from 1.

    Raises:
        ExtractError: the file has no rows.
    """
    rows = chain.from_iterable(
        zip(*(map(to_text, column.to_pylist()) for column in batch.columns), strict=True)
        for batch in batches(names)
    )
    # A row of nulls keeps its position, which is that of its features.
    table = make_table(path, names, enumerate(rows, 1), keep_blank_rows=True)
    return replace(table, value_names=read_value_names(schema.metadata or {}))


def open_parquet(path: Path, stack: ExitStack) -> tuple["pa.Schema", int, Batches]:
    """Open a Parquet file; return its schema, its number of rows, and a function for its batches.

    The file stays open until `stack` closes.
    """
    from pyarrow import parquet

    # With a buffer, all that was read would stay in memory.
    file = stack.enter_context(parquet.ParquetFile(path, pre_buffer=False))
    return file.schema_arrow, file.metadata.num_rows, partial(iterate_parquet, file)


def iterate_parquet(file: object, names: Sequence[str]) -> Iterator["pa.RecordBatch"]:
    """Yield the columns `names` of an open Parquet file, up to `ROWS_AT_A_TIME` rows at a time."""
    # Threads would read several row groups ahead.
    yield from file.iter_batches(ROWS_AT_A_TIME, columns=[*names], use_threads=False)


def open_feather(path: Path, stack: ExitStack) -> tuple["pa.Schema", int, Batches]:
    """Open a Feather file; return its schema, its number of rows, and a function for its batches.

    The file is mapped into memory and stays open until `stack` closes.
    """
    import pyarrow as pa

    source = stack.enter_context(pa.memory_map(str(path)))
    file = stack.enter_context(pa.ipc.open_file(source))
    num_rows = sum(file.get_batch(index).num_rows for index in range(file.num_record_batches))
    return file.schema, num_rows, partial(iterate_feather, file)


def iterate_feather(file: object, names: Sequence[str]) -> Iterator["pa.RecordBatch"]:
    """Yield the columns `names` of an open Feather file in the batches in which it is stored."""
    for index in range(file.num_record_batches):
        yield file.get_batch(index).select([*names])


def is_vector(kind: "pa.DataType") -> bool:
    """Return whether values of a type are lists of floating-point numbers."""
    from pyarrow import types

    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return is_list and types.is_floating(kind.value_type)


def open_vectors(path: Path, field: "pa.Field", num_rows: int, batches: Batches) -> ArraySource:
    """Return a column of lists as an array. Its width is that of the first list that is not null.

    The type is that of the numbers in the file; the rows are read when they are sliced.

    Raises:
        ExtractError: all lists are null.
    """
    import pyarrow.compute as pc

    dtype = np.dtype(field.type.value_type.to_pandas_dtype())
    widths = (
        pc.max(pc.list_value_length(batch.column(0))).as_py() for batch in batches([field.name])
    )
    width = next((width for width in widths if width is not None), None)
    if width is None:
        raise ExtractError(f"{path}: column {field.name} has no vector, expected one for each row")
    iterate = partial(iterate_vectors, path, field.name, width, batches)
    return IteratedRows((num_rows, width), dtype, iterate)


def iterate_vectors(path: Path, name: str, width: int, batches: Batches) -> Iterator[np.ndarray]:
    """Yield the vectors of a column, one array (rows, width) for each batch.

    The type is that of the numbers in the file. Null vectors and null numbers become NaN.

    Args:
        path: the file, for messages.
        name: a column of lists of floating-point numbers.
        width: length of each list.
        batches: reads columns.

    Raises:
        ExtractError: a list does not have `width` numbers; names the first such row.
    """
    import pyarrow.compute as pc

    first = 0
    for batch in batches([name]):
        column = batch.column(0)
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero((lengths != width) & ~np.isnan(lengths))
        if len(wrong):
            raise ExtractError(
                f"{path}: {name} has {count_noun(int(lengths[wrong[0]]), 'number')} in row "
                f"{first + wrong[0]}, counted from 0, expected {width} as in the first row"
            )
        numbers = column.flatten().to_numpy(zero_copy_only=False)
        block = np.full((len(column), width), np.nan, numbers.dtype)
        block[~np.isnan(lengths)] = numbers.reshape(-1, width)
        yield block
        first += len(column)


def iterate_numbers(names: Sequence[str], batches: Batches) -> Iterator[np.ndarray]:
    """Yield the numbers of some columns, one float32 array (rows, columns) for each batch.

    Null numbers become NaN, and numbers too large for float32 infinity.
    """
    for batch in batches(names):
        columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in names]
        with np.errstate(over="ignore"):
            yield np.stack([column.astype(np.float32) for column in columns], axis=1)
