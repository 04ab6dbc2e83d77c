"""The race of CheXpert's patients, from the demographics file that is published apart."""

import zlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from clip_cfr.extract.errors import ExtractError

# Every other wording, and none, counts as one further race.
NAMED = ("White", "Black")


def read_races(path: Path) -> dict[int, int]:
    """The race of each patient by number: 0 white, 1 black, 2 all others and the unknown.

    Raises:
        ExtractError: openpyxl is missing, the file is no workbook, has no columns PATIENT and
            PRIMARY_RACE, or a patient stands in it with two races.
    """
    rows = workbook_rows(path)
    header = list(rows[0]) if rows else []
    if not {"PATIENT", "PRIMARY_RACE"} <= set(header):
        found = ", ".join(str(name) for name in header if name is not None)
        raise ExtractError(
            f"{path} has no columns PATIENT and PRIMARY_RACE; its columns are {found or 'none'}"
        )
    patient, race = header.index("PATIENT"), header.index("PRIMARY_RACE")
    return races_of(path, [(row[patient], row[race]) for row in rows[1:]])


def races_of(path: Path, entries: Iterable[tuple[object, object]]) -> dict[int, int]:
    """The race of each patient; `entries` are those of the rows from the second on."""
    races: dict[int, int] = {}
    for row, (name, race) in enumerate(entries, start=2):
        if name is None:
            continue
        patient = patient_number(str(name))
        if patient is None:
            raise ExtractError(f"{path}, row {row}: PATIENT is {name!r}, expected patient00001")
        if races.setdefault(patient, race_code(race)) != race_code(race):
            raise ExtractError(f"{path}, row {row}: {name} stands twice, with two races")
    return races


def patient_number(name: str) -> int | None:
    """The number in a name such as patient00001, or None."""
    digits = name.removeprefix("patient")
    return int(digits) if digits != name and digits.isdecimal() else None


def race_code(race: object) -> int:
    """The number of a race as the file words it, such as `White, non-Hispanic`."""
    return next((code for code, name in enumerate(NAMED) if str(race).startswith(name)), len(NAMED))


def workbook_rows(path: Path) -> list[tuple]:
    """The rows of a workbook's first sheet, as tuples of values."""
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ModuleNotFoundError as error:
        raise ExtractError(
            f"reading {path} needs openpyxl; install it with: pip install 'clip-cfr[extract]'"
        ) from error
    damage = (BadZipFile, InvalidFileException, KeyError, OSError, EOFError, ParseError, ValueError)
    try:
        with closing(load_workbook(path, read_only=True, data_only=True)) as book:
            return list(book.worksheets[0].iter_rows(values_only=True))
    except (*damage, zlib.error) as error:
        raise ExtractError(f"{path} is no Excel workbook ({error}); download it again") from error
