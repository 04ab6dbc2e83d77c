"""Arrays beside a matrix in the same file, such as ids and labels, as the columns of a table."""

import re
from collections.abc import Mapping
from pathlib import Path

from clip_cfr.cache.format.layout import ArraySource
from clip_cfr.extract.datasets.tables.cells import to_text
from clip_cfr.extract.datasets.tables.table import Table

# Separators in the names of nested arrays: those of dicts, and of HDF5 groups.
SEPARATOR = re.compile(r"[./](?=[^./]*\Z)")
KINDS = "biufSUO"


def find_columns(arrays: Mapping[str, ArraySource], name: str) -> dict[str, ArraySource]:
    """Return the vectors of numbers or text that describe the rows of a matrix.

    They have one axis with an entry for each row, and lie in the same dict or group as the matrix.

    Args:
        arrays: the arrays of the file by name.
        name: name of the matrix, such as `train.features`.

    Returns:
        The vectors by the last part of their names, such as `labels` for `train.labels`.
    """
    group, num_rows = split_name(name)[0], arrays[name].shape[0]
    return {
        split_name(other)[1]: array
        for other, array in arrays.items()
        if split_name(other)[0] == group
        and array.shape == (num_rows,)
        and array.dtype.kind in KINDS
    }


def split_name(name: str) -> tuple[str, str]:
    """Split an array's name at its last `.` or `/`: `train.labels` gives `train` and `labels`.

    The group of a name without these is empty.
    """
    *group, last = SEPARATOR.split(name)
    return "".join(group), last


def make_table(path: Path, columns: Mapping[str, ArraySource]) -> Table:
    """Read vectors of one length and return them as a table of text. Rows are counted from 0."""
    texts = {name: tuple(map(as_text, array[:].tolist())) for name, array in columns.items()}
    num_rows = len(next(iter(texts.values())))
    return Table(path, texts, tuple(range(num_rows)))


def as_text(value: object) -> str:
    """Return a value of an array as text: bytes decoded as UTF-8, others as by `to_text`."""
    return value.decode(errors="replace") if isinstance(value, bytes) else to_text(value)
