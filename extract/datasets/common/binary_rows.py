"""The rows of a list with two classes and two attribute values."""

from collections.abc import Sequence

from clip_cfr.cache.format.schema import Rows
from clip_cfr.extract.datasets.common.encode import encode_binary, encode_splits
from clip_cfr.extract.datasets.tables.roles import ATTRIBUTE, LABEL
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.manifest.manifest import make_rows


def read_binary_rows(table: Table, paths: Sequence[str]) -> Rows:
    """Return the rows of a list with two classes and two attribute values, without subjects.

    Labels and attributes are 0 or 1 (see `encode_binary`); the list has a column of splits.

    Args:
        table: the list.
        paths: path of the image of each entry, relative to the root; they become the ids.

    Raises:
        ExtractError: a column is missing, or a value is not one of those expected.
    """
    return make_rows(
        ids=paths,
        labels=encode_binary(table, LABEL),
        attributes=encode_binary(table, ATTRIBUTE),
        splits=encode_splits(table),
    )
