"""Excel workbooks, read with openpyxl (the extra `xlsx`)."""

import warnings
import zlib
from contextlib import closing
from pathlib import Path
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

from clip_cfr.cache.packages import missing_package
from clip_cfr.extract.datasets.tables.cells import to_text
from clip_cfr.extract.datasets.tables.table import Table, make_table
from clip_cfr.extract.errors import ExtractError

# What openpyxl raises for a file that is damaged or not a workbook.
DAMAGE = (
    *(BadZipFile, EOFError, KeyError, OSError, ParseError, ValueError, zlib.error),
    RuntimeError,  # Encrypted, or of an unknown compression method.
)


def is_workbook(path: Path) -> bool:
    """Return whether a file is a zip archive with the folder `xl/`, as an Excel workbook has.

    A damaged archive is none.
    """
    try:
        with ZipFile(path) as archive:
            return any(name.startswith("xl/") for name in archive.namelist())
    except DAMAGE:
        return False


def read_workbook_table(path: Path) -> Table:
    """Read the first sheet of a workbook, whose first row that is not blank is the header.

    Blank rows are skipped, and values become text by `to_text`. Row numbers are those of the sheet.

    Raises:
        ExtractError: openpyxl is not installed, or the file is not a workbook or has no rows.
    """
    cells = [(number, list(map(to_text, row))) for number, row in enumerate(read_workbook(path), 1)]
    filled = [(number, row) for number, row in cells if any(row)]
    if not filled:
        raise ExtractError(f"{path} is empty in its first sheet, expected a header and rows")
    (_, header), *rows = filled
    return make_table(path, header, rows)


def read_workbook(path: Path) -> list[tuple]:
    """Return all rows of the first sheet of an Excel workbook, blank ones too, as tuples of values.

    Values are as openpyxl reads them, those of formulas as saved; None in an empty cell.

    Raises:
        ExtractError: openpyxl is not installed, or the file is not a workbook.
    """
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ModuleNotFoundError as error:
        raise ExtractError(f"{path} is an Excel workbook: {missing_package(error)}") from error
    try:
        with (
            warnings.catch_warnings(),
            path.open("rb") as file,  # openpyxl refuses paths with another ending.
            closing(load_workbook(file, read_only=True, data_only=True)) as book,
        ):
            warnings.filterwarnings("ignore", module="openpyxl")
            return list(book.worksheets[0].iter_rows(values_only=True))
    except (*DAMAGE, InvalidFileException) as error:
        raise ExtractError(
            f"{path} is not a valid Excel workbook ({error}); save it again, or download it again"
        ) from error
