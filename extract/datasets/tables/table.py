"""A table of text columns that remembers the row of the file of each value."""

import shlex
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int32

from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.datasets.tables.roles import LABEL, Role, simplify
from clip_cfr.extract.errors import ExtractError

ROWS_AT_A_TIME = 4096
# How pandas names the columns of a file that have no name.
PANDAS_NAMELESS = "unnamed: "
INDEX_NAMES = frozenset(("index", "idx", "row", "rownumber", "number", "no", "nr", "n", "sno"))
ZERO_WIDTH = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060"))


@dataclass(frozen=True)
class Table:
    """The columns of a list, as text.

    Attributes:
        path: the file. The paths of all files, joined by commas, if the table is made of several.
        columns: values of each column by its name, without surrounding white space.
        row_numbers: row of the file of each entry, as an editor or spreadsheet shows it: counted
            from 1, including the header.
        assigned: column of a role by the name of the role, where the user or the form of the file
            determines it; an empty string says that there is none.
        value_names: names of the numbers 0, 1 ... of a column, by column, where the file has them.
        sources: file of each entry, if the table is made of several files; otherwise empty.
    """

    path: Path
    columns: dict[str, tuple[str, ...]]
    row_numbers: Sequence[int]
    assigned: Mapping[str, str] = field(default_factory=dict)
    value_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sources: Sequence[Path] = ()

    def __len__(self) -> int:
        """Return the number of entries (rows without the header)."""
        return len(self.row_numbers)

    def location(self, index: int) -> str:
        """Return the path of the file and the row of an entry, such as `data/list.csv, row 3`.

        The row is that of `row_numbers`. If the table is made of several files, the path is that of
        the entry's own file.

        Args:
            index: index of the entry, from 0.
        """
        path = self.sources[index] if self.sources else self.path
        return f"{path}, row {self.row_numbers[index]}"

    def select(self, indices: Int[np.ndarray, " m"]) -> "Table":
        """Return the table with only the entries at `indices`, which must ascend.

        The table itself is returned if there are as many indices as entries.
        """
        if len(indices) == len(self):
            return self
        chosen = indices.tolist()
        return replace(
            self,
            columns={
                name: tuple(map(values.__getitem__, chosen))
                for name, values in self.columns.items()
            },
            row_numbers=tuple(map(self.row_numbers.__getitem__, chosen)),
            sources=tuple(map(self.sources.__getitem__, chosen)) if self.sources else (),
        )

    def find_candidates(self, role: Role) -> list[str]:
        """Return the names of the columns that may have a role: none, one, or several that differ.

        An assigned role has its column or none. Otherwise columns without an assigned role are
        compared with the names of the role, and only the first tier of names that occurs counts. Of
        columns with equal values the first one counts; so does the first of several label columns
        that are one-to-one, such as numbers and names.
        """
        if role.name in self.assigned:
            name = self.assigned[role.name]
            return [name] if name else []
        free = [name for name in self.columns if name not in self.assigned.values()]
        for names in role.tiers():
            found = [name for name in free if simplify(name) in names]
            if found:
                return self.find_distinct(found, one_to_one=role is LABEL)
        return []

    def find_distinct(self, names: Sequence[str], one_to_one: bool) -> list[str]:
        """Return the first of some columns, and those whose values differ from its values.

        Args:
            names: names of columns, at least one.
            one_to_one: whether a column whose values are a renaming of the first one's is left out
                too.
        """
        values = self.columns[names[0]]
        others = [
            name
            for name in names[1:]
            if self.columns[name] != values
            and not (one_to_one and is_renaming(values, self.columns[name]))
        ]
        return [names[0], *others]

    def find_column(self, role: Role) -> str | None:
        """Return the name of the column that has a role, or None.

        Raises:
            ExtractError: several columns may have it.
        """
        names = self.find_candidates(role)
        if len(names) > 1:
            raise ExtractError(
                f"{self.path} has {len(names)} columns that may be the {role.name}: "
                f"{', '.join(names)}; choose one with --columns "
                f"{shlex.quote(f'{role.name}={names[0]}')}"
            )
        return names[0] if names else None

    def column(self, role: Role) -> tuple[str, ...]:
        """Return the values of the column that has a role, one for each entry.

        Raises:
            ExtractError: no column or several columns may have the role.
        """
        name = self.find_column(role)
        if name is None:
            nameless = all(map(is_placeholder, self.columns))
            found = f"found the columns {', '.join(self.columns)}" + (
                ", because its first row is not a header" if nameless else ""
            )
            raise ExtractError(
                f"{self.path} has no column {role.name}, {found}; "
                + (
                    f"name the one to take with --columns {role.name}=COLUMN"
                    if role.synonyms
                    else "rename or add the column"
                )
            )
        return self.columns[name]

    def encode_column(self, codes: Mapping[str, int], role: Role) -> Int32[np.ndarray, " n"]:
        """Return the code of each entry's value in the column that has a role.

        Args:
            codes: code by value; values must match exactly.
            role: role of the column.

        Raises:
            ExtractError: there is no such column, or a value has no code; the message names the
                first.
        """
        values = self.column(role)
        unknown = next((i for i, value in enumerate(values) if value not in codes), None)
        if unknown is not None:
            known = ", ".join(value or "nothing" for value in codes)
            raise ExtractError(
                f"{self.location(unknown)}: {self.find_column(role)} is {values[unknown]!r}, "
                f"expected one of {known}"
            )
        return np.array([codes[value] for value in values], np.int32)

    def require_unique(self, kind: str, values: Sequence[str]) -> None:
        """Raise ExtractError if a value occurs in two entries; the message names both rows.

        Args:
            kind: noun for the values, such as `image`, for the message.
            values: one for each entry.
        """
        if len(set(values)) == len(values):
            return
        first: dict[str, int] = {}
        for index, value in enumerate(values):
            if first.setdefault(value, index) != index:
                raise ExtractError(
                    f"{self.location(index)}: the {kind} {value!r} is already listed in row "
                    f"{self.row_numbers[first[value]]}; remove one of the two rows"
                )


def concatenate(tables: Sequence[Table]) -> Table:
    """Return the entries of several tables in one, table after table.

    Columns are the union of all columns; one that a table lacks is blank there. Assigned roles and
    value names are those of the first table.

    Args:
        tables: at least one table, each read from a single file.
    """
    names = list(dict.fromkeys(name for table in tables for name in table.columns))
    columns = {
        name: tuple(
            value for table in tables for value in table.columns.get(name, ("",) * len(table))
        )
        for name in names
    }
    return Table(
        path=Path(", ".join(str(table.path) for table in tables)),
        columns=columns,
        row_numbers=tuple(number for table in tables for number in table.row_numbers),
        assigned=tables[0].assigned,
        value_names=tables[0].value_names,
        sources=tuple(table.path for table in tables for _ in range(len(table))),
    )


def is_renaming(values: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether two columns of equal length are one-to-one.

    Each value of one column then always stands beside the same value of the other, as names do
    beside numbers.
    """
    pairs = set(zip(values, others, strict=True))
    return len(pairs) == len(set(values)) == len(set(others))


def is_index(values: Sequence[str]) -> bool:
    """Return whether values are `0`, `1`, `2` ... or `1`, `2`, `3` ... in order; False if empty."""
    if not values or values[0] not in ("0", "1"):
        return False
    first = int(values[0])
    return all(value == str(first + index) for index, value in enumerate(values))


def is_index_column(table: Table, name: str) -> bool:
    """Return whether a column only counts the entries, as the index that pandas writes.

    It has a name such as `index` or none, and its values count from 0 or 1.
    """
    named = simplify(name) in INDEX_NAMES or is_placeholder(name)
    return named and is_index(table.columns[name])


def placeholder(index: int) -> str:
    """Return the name for a column that has none in the file: `column 1` for index 0."""
    return f"column {index + 1}"


def is_placeholder(name: str) -> bool:
    """Return whether a name is that of a column without a name in the file, such as `column 1`."""
    return name.startswith("column ") and name[7:].isdecimal()


def make_table(
    path: Path,
    header: Sequence[str],
    rows: Iterable[tuple[int, Sequence[str]]],
    keep_blank_rows: bool = False,
) -> Table:
    """Build a table from a header and numbered rows of fields.

    Values are stripped. Rows without any content are dropped, and so are columns without name and
    content, as spreadsheets leave them.

    Args:
        path: the file, for messages and `Table.path`.
        header: name of each column.
        rows: number of the row in the file, and its fields.
        keep_blank_rows: keep rows without any content, because they belong to other data by their
            position.

    Raises:
        ExtractError: the header contains a name twice over different values, there are no rows, or
            a row and the header differ in their number of fields.
    """
    row_numbers, columns = [], [[] for _ in header]
    for chunk in batched(rows):
        numbers, fields = zip(*chunk, strict=True)
        if set(map(len, fields)) != {len(header)}:
            fields = [fit_row(path, len(header), *row) for row in chunk]
        row_numbers.extend(numbers)
        for column, values in zip(columns, zip(*fields, strict=True), strict=True):
            # Interning saves memory: CelebA has eight million fields but only two values.
            column.extend(map(sys.intern, map(str.strip, values)))
    blank = find_blank_rows(columns) if row_numbers and not keep_blank_rows else []
    if len(blank) == len(row_numbers):
        raise ExtractError(f"{path} has a header but no rows, expected a row for each image")
    named = name_columns(path, header, columns)
    table = Table(path, {name: tuple(values) for name, values in named}, tuple(row_numbers))
    return table.select(np.delete(np.arange(len(table)), blank))


def batched(
    rows: Iterable[tuple[int, Sequence[str]]],
) -> Iterator[tuple[tuple[int, Sequence[str]], ...]]:
    """Yield the rows in tuples of ROWS_AT_A_TIME; the last one may be shorter."""
    iterator = iter(rows)
    while chunk := tuple(islice(iterator, ROWS_AT_A_TIME)):
        yield chunk


def fit_row(path: Path, width: int, row_number: int, fields: Sequence[str]) -> Sequence[str]:
    """Return the fields of a row, cut or padded with empty ones to the width of the header.

    Surplus fields at the end may only be blank. Only a blank row may have too few fields.

    Args:
        path: the file, for messages.
        width: number of fields of the header.
        row_number: row in the file, for messages.
        fields: fields of the row.

    Raises:
        ExtractError: the row has more fields than the header, or fewer without being blank.
    """
    filled = len(fields)
    while filled and not fields[filled - 1].strip():
        filled -= 1
    if filled > width or (filled and len(fields) < width):
        raise ExtractError(
            f"{path}, row {row_number}: found {count_noun(len(fields), 'field')}, expected "
            f"{width} as in the header; quote fields that contain the separator, or remove lines "
            "above the header"
        )
    return [*fields[:width], *[""] * (width - len(fields))]


def find_blank_rows(columns: Sequence[Sequence[str]]) -> list[int]:
    """Return the ascending indices of the rows that are empty in every column."""
    first, *others = columns
    blank = [index for index, value in enumerate(first) if not value]
    for column in others:
        blank = [index for index in blank if not column[index]]
    return blank


def name_columns(
    path: Path, header: Sequence[str], columns: Sequence[list[str]]
) -> list[tuple[str, list[str]]]:
    """Return (name, values) of each column, with unique names, in the order of the header.

    Names are cleaned by `clean_name`. A column without a name, or with one such as pandas's
    `Unnamed: 0`, is called as `placeholder` says, or left out if it has no values. Of several
    columns with one name and equal values the first is kept.

    Raises:
        ExtractError: two columns of one name have different values.
    """
    named: dict[str, list[str]] = {}
    for index, (text, values) in enumerate(zip(header, columns, strict=True)):
        name = clean_name(text)
        if not name or name.casefold().startswith(PANDAS_NAMELESS):
            if not any(values):
                continue
            name = placeholder(index)
        if named.setdefault(name, values) != values:
            raise ExtractError(
                f"{path} has two columns {name!r} with different values, expected unique names; "
                "rename or remove one of them"
            )
    return list(named.items())


def clean_name(text: str) -> str:
    """Return the name of a column in NFC, without invisible characters.

    White space and one pair of quotes around it are removed too.
    """
    name = unicodedata.normalize("NFC", text).translate(ZERO_WIDTH).strip()
    return name[1:-1].strip() if name[:1] in "'\"" and name[1:].endswith(name[:1]) else name
