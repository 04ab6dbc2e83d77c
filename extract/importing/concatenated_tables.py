"""Tables of several files as one, and tables in another order."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError


def concatenate_tables(tables: Sequence[Table]) -> Table:
    """Return the rows of all tables, one table after the other; a single table stays as it is.

    The columns have the order of the first table, which also gives `assigned` and `value_names`.
    `row_numbers` are those of the rows in their own files, and `sources` names these files.

    Raises:
        ExtractError: the tables do not have the same names of columns.
    """
    first = tables[0]
    if len(tables) == 1:
        return first
    for table in tables[1:]:
        if set(table.columns) != set(first.columns):
            raise ExtractError(
                f"{table.path} has the columns {', '.join(table.columns)}, expected "
                f"{', '.join(first.columns)} as in {first.path}"
            )
    columns = {
        name: tuple(value for table in tables for value in table.columns[name])
        for name in first.columns
    }
    return replace(
        first,
        path=Path(f"{first.path} and {len(tables) - 1} more"),
        columns=columns,
        row_numbers=tuple(number for table in tables for number in table.row_numbers),
        sources=tuple(table.path for table in tables for _ in range(len(table))),
    )


def reorder_rows(table: Table, order: Int[np.ndarray, " m"]) -> Table:
    """Return a new table of the rows at the indices `order`, in that order."""
    indices = order.tolist()
    return replace(
        table,
        columns={name: select_values(values, indices) for name, values in table.columns.items()},
        row_numbers=select_values(table.row_numbers, indices),
        sources=select_values(table.sources, indices) if table.sources else (),
    )


def select_values(values: Sequence[Any], indices: Sequence[int]) -> tuple[Any, ...]:
    """Return the values at the indices, in the order of the indices."""
    return tuple(map(values.__getitem__, indices))
