"""Contents of a file of embeddings: arrays by name, and optionally a table of text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clip_cfr.cache.format.layout import ArraySource
from clip_cfr.extract.datasets.tables.table import Table


@dataclass(frozen=True)
class Contents:
    """The contents of an open file.

    Attributes:
        arrays: the arrays by name; the only array of a file without names has the empty name.
        read_table: reads the other columns of a table, such as ids and labels; None if the file is
            not a table or has no other columns.
        notes: notes for the user on the choice of columns.
    """

    arrays: Mapping[str, ArraySource]
    read_table: Callable[[], Table] | None = None
    notes: Sequence[str] = ()
