"""CelebA's own lists, in all the forms that go around under their names.

`list_attr_celeba.txt` has a first line with the number of rows, a header without a name for the
images, and white space between the fields; the .csv of Kaggle has commas and a full header; files
of the first kind, or with a full header, are also named .csv. `list_eval_partition.txt` has no
header at all.
"""

from collections.abc import Sequence
from pathlib import Path

from clip_cfr.extract.datasets.common.csv_table import Table, make_table, read_csv, read_text
from clip_cfr.extract.errors import ExtractError

Lines = list[tuple[int, str]]


def read_list(path: Path, default_header: Sequence[str] = ()) -> Table:
    """The table of a list, whose first column is `image_id`.

    Raises:
        ExtractError: the file cannot be read, a row has another number of fields than the
            header, or the file has another number of rows than its first line says.
    """
    lines = filled_lines(read_text(path))
    if not lines or "," in lines[0][1]:
        return read_csv(path)
    if lines[0][1].strip().isdecimal():
        check_count(path, int(lines.pop(0)[1]), len(lines) - 1)
    header = default_header if headless(lines) else lines.pop(0)[1].split()
    return make_table(path, complete(header, lines), ((n, line.split()) for n, line in lines))


def filled_lines(text: str) -> Lines:
    """The lines that are not blank, each with its number."""
    return [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]


def check_count(path: Path, expected: int, found: int) -> None:
    """Raises ExtractError where a list has another number of rows than its first line says."""
    if expected != found:
        raise ExtractError(
            f"{path}: its first line says {expected} rows, but {found} follow the header; "
            "the file is cut off or damaged"
        )


def headless(lines: Lines) -> bool:
    """Whether the first line holds values, which end with a number, as no header does."""
    return bool(lines) and lines[0][1].split()[-1].lstrip("-").isdecimal()


def complete(header: Sequence[str], lines: Lines) -> list[str]:
    """The header, with a name for the column of images where only the others have one."""
    nameless = bool(lines) and len(lines[0][1].split()) == len(header) + 1
    return ["image_id", *header] if nameless else list(header)
