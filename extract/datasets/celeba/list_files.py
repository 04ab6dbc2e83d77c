"""Reader of CelebA's list files, in all the forms in which they are distributed.

`list_attr_celeba.txt` starts with a line that holds the number of rows, has a header without a name
for the column of images, and separates fields by white space. Kaggle's .csv files have commas and a
complete header. Other .csv files have the white space of the first kind, with either header.
`list_eval_partition.txt` has no header; nor have some copies of it with commas.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.datasets.tables.read_table import assign_columns, read_table
from clip_cfr.extract.datasets.tables.table import Table, make_table
from clip_cfr.extract.datasets.tables.text import read_text
from clip_cfr.extract.errors import ExtractError

SEPARATORS = ",;\t"
# Each line with its number, counted from 1.
Lines = list[tuple[int, str]]


def read_list(
    path: Path, default_header: Sequence[str] = (), columns: Mapping[str, str] | None = None
) -> Table:
    """Read one of CelebA's lists, in any of the forms above, into a table.

    The column of images is called `image_id` where the header does not name it. Other lists are
    read by `read_table`.

    Args:
        path: the list file.
        default_header: header of a file that has none.
        columns: column of each role that the user determines.

    Raises:
        ExtractError: the file cannot be read, a row and the header differ in their number of
            fields, or the number of rows is not that of the first line.
    """
    lines = split_lines(read_text(path))
    separator = next((each for each in SEPARATORS if lines and each in lines[0][1]), None)
    is_bare = bool(default_header) and lacks_header(lines, separator)
    if not lines or (separator and not is_bare):
        return read_table(path, columns)
    if lines[0][1].strip().isdecimal():
        check_row_count(path, int(lines.pop(0)[1]), len(lines) - 1)
        is_bare = lacks_header(lines, separator)
    header = default_header if is_bare else lines.pop(0)[1].split()
    rows = ((number, line.split(separator)) for number, line in lines)
    return assign_columns(make_table(path, complete_header(header, lines), rows), columns or {})


def split_lines(text: str) -> Lines:
    """Return (number from 1, line) of each line that is not blank; blank lines are counted."""
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def check_row_count(path: Path, expected: int, found: int) -> None:
    """Raise ExtractError if the number of rows is not the one in the first line of the file.

    Args:
        path: the file, for the message.
        expected: number in the first line.
        found: number of rows after the header.
    """
    if expected != found:
        raise ExtractError(
            f"{path}: expected {count_noun(expected, 'row')} according to the first line, found "
            f"{found} after the header; the file is truncated or damaged, download it again"
        )


def lacks_header(lines: Lines, separator: str | None) -> bool:
    """Return whether the first line ends with a whole number, as values do and headers do not.

    False without lines.

    Args:
        lines: the lines of a list.
        separator: separator of its fields; None for white space.
    """
    return bool(lines) and lines[0][1].split(separator)[-1].strip().lstrip("-").isdecimal()


def complete_header(header: Sequence[str], lines: Lines) -> list[str]:
    """Return the header with `image_id` in front if it has one name less than the first row.

    Args:
        header: names of the columns.
        lines: the rows, separated by white space.
    """
    incomplete = bool(lines) and len(lines[0][1].split()) == len(header) + 1
    return ["image_id", *header] if incomplete else list(header)
