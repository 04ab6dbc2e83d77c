"""The race of CheXpert's patients, from the separately published demographics file."""

from collections.abc import Iterable
from pathlib import Path

from clip_cfr.extract.datasets.layouts.folder_tree import list_folder
from clip_cfr.extract.datasets.tables.read_table import read_table
from clip_cfr.extract.datasets.tables.roles import Role, simplify
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.datasets.tables.workbook import read_workbook_table
from clip_cfr.extract.errors import ExtractError

# Published as .xlsx, and today as .csv too.
STEM = "CHEXPERT DEMO."
PATIENT, RACE = Role("PATIENT"), Role("PRIMARY_RACE")
# Prefixes of the race; every other value, and a missing one, counts as one further race.
RACE_PREFIXES = ("White", "Black")


def find_demographics(folders: Iterable[Path]) -> Path | None:
    """Return the path of the first file in some folders whose name begins with CHEXPERT DEMO.

    Case, blanks and punctuation of the name do not matter. Subfolders are not searched. Within a
    folder, names are tried in sorted order. None if no folder has such a file.

    Args:
        folders: folders in the order in which to search them; missing ones are skipped.
    """
    return next(
        (
            folder / name
            for folder in folders
            for name in list_folder(folder).files
            if simplify(name).startswith(simplify(STEM))
        ),
        None,
    )


def read_races(path: Path) -> dict[int, int]:
    """Read the race of each patient by number: 0 white, 1 black, 2 any other or unknown.

    For example `{1: 0, 2: 2}` for `patient00001` and `patient00002`. Rows without a patient are
    skipped.

    Args:
        path: a workbook (.xlsx), or a text file that `read_table` reads, such as .csv.

    Raises:
        ExtractError: the file is not valid or lacks the columns PATIENT and PRIMARY_RACE, a name
            has another form, a patient has two races, or openpyxl, which reads workbooks, is not
            installed.
    """
    is_workbook = path.suffix.lower() == ".xlsx"
    table = read_workbook_table(path) if is_workbook else read_table(path)
    if not all(table.find_candidates(role) for role in (PATIENT, RACE)):
        raise ExtractError(
            f"{path} has no columns {PATIENT.name} and {RACE.name}, found the columns "
            f"{', '.join(table.columns)}; download it again"
        )
    return collect_races(table)


def collect_races(table: Table) -> dict[int, int]:
    """Return the race code of each patient by the patient's number.

    Rows without a patient are skipped.

    Args:
        table: the demographics, with the columns PATIENT and PRIMARY_RACE.

    Raises:
        ExtractError: a patient's name has another form than `patient00001`, or has two races.
    """
    races: dict[int, int] = {}
    entries = zip(table.column(PATIENT), map(encode_race, table.column(RACE)), strict=True)
    for index, (name, race) in enumerate(entries):
        if not name:
            continue
        patient = parse_patient_number(name)
        if patient is None:
            raise ExtractError(
                f"{table.location(index)}: {PATIENT.name} is {name!r}, expected a name such as "
                "patient00001"
            )
        if races.setdefault(patient, race) != race:
            raise ExtractError(
                f"{table.location(index)}: {name} has another race in an earlier row, expected one "
                "race for each patient; remove one of the rows"
            )
    return races


def parse_patient_number(name: str) -> int | None:
    """Return the number in a name such as `patient00001` (1), or None if it has another form."""
    digits = name.removeprefix("patient")
    return int(digits) if digits != name and digits.isdecimal() else None


def encode_race(race: str) -> int:
    """Return 0 for a race that begins with `White`, 1 for `Black`, 2 for any other or none."""
    prefixes = enumerate(RACE_PREFIXES)
    return next((code for code, prefix in prefixes if race.startswith(prefix)), len(RACE_PREFIXES))
