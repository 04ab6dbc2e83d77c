"""Rows of a list that repeat an image: equal ones are dropped, contradicting ones refused."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int64

from clip_cfr.cache.wording import agree, count_noun
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError

FIELDS = ("label", "attribute", "split")


def drop_repeated_rows(
    table: Table, ids: Sequence[str], columns: Sequence[Int[np.ndarray, " n"] | None]
) -> tuple[Int64[np.ndarray, " kept"], tuple[str, ...]]:
    """Return the indices of the first entry of each image, and a warning if some are repeated.

    Args:
        table: the list, for messages.
        ids: id of each entry.
        columns: label, attribute and split of each entry; None where they are not in the list.

    Returns:
        Ascending indices, and no or one warning.

    Raises:
        ExtractError: two entries of an image have another label, attribute or split.
    """
    if len(set(ids)) == len(ids):
        return np.arange(len(ids)), ()
    first: dict[str, int] = {}
    repeated = [index for index, name in enumerate(ids) if first.setdefault(name, index) != index]
    for index in repeated:
        for field, values in zip(FIELDS, columns, strict=True):
            if values is not None and values[index] != values[first[ids[index]]]:
                raise ExtractError(
                    f"{table.location(index)}: {ids[index]!r} is already listed in row "
                    f"{table.row_numbers[first[ids[index]]]} with another {field}; remove one of "
                    "the two rows"
                )
    index, rows = repeated[0], count_noun(len(repeated), "row")
    warning = (
        f"{table.path}: left out {rows} that "
        f"{agree(len(repeated), 'repeats', 'repeat')} an earlier one, the first is "
        f"row {table.row_numbers[index]} ({ids[index]!r}, as in row "
        f"{table.row_numbers[first[ids[index]]]})"
    )
    return np.delete(np.arange(len(ids)), repeated), (warning,)
