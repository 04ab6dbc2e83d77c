"""The race of CheXpert's patients, from the separately published demographics workbook."""

from collections.abc import Iterable
from pathlib import Path

from clip_cfr.extract.datasets.tables.workbook import read_workbook
from clip_cfr.extract.errors import ExtractError

# Prefixes of the race; every other value, and a missing one, counts as one further race.
RACE_PREFIXES = ("White", "Black")


def read_races(path: Path) -> dict[int, int]:
    """Read the race of each patient by number: 0 white, 1 black, 2 any other or unknown.

    Raises:
        ExtractError: openpyxl is not installed, the file is not a workbook or has no columns
            PATIENT and PRIMARY_RACE, or a patient has two races.
    """
    rows = read_workbook(path)
    header = list(rows[0]) if rows else []
    if not {"PATIENT", "PRIMARY_RACE"} <= set(header):
        found = ", ".join(str(name) for name in header if name is not None)
        raise ExtractError(
            f"{path} has no columns PATIENT and PRIMARY_RACE, found the columns {found or 'none'}; "
            "download it again"
        )
    patient, race = header.index("PATIENT"), header.index("PRIMARY_RACE")
    return collect_races(path, [(row[patient], row[race]) for row in rows[1:]])


def collect_races(path: Path, entries: Iterable[tuple[object, object]]) -> dict[int, int]:
    """Return the race code of each patient.

    Args:
        path: the workbook, for messages.
        entries: PATIENT and PRIMARY_RACE of the rows from the second on.
    """
    races: dict[int, int] = {}
    for row, (name, race) in enumerate(entries, start=2):
        if name is None:
            continue
        patient = parse_patient_number(str(name))
        if patient is None:
            raise ExtractError(
                f"{path}, row {row}: PATIENT is {name!r}, expected a name such as patient00001"
            )
        if races.setdefault(patient, encode_race(race)) != encode_race(race):
            raise ExtractError(
                f"{path}, row {row}: {name} has another race in an earlier row, expected one race "
                "for each patient; remove one of the rows"
            )
    return races


def parse_patient_number(name: str) -> int | None:
    """Return the number in a name such as `patient00001`, or None if it has another form."""
    digits = name.removeprefix("patient")
    return int(digits) if digits != name and digits.isdecimal() else None


def encode_race(race: object) -> int:
    """Return the code of a race such as `White, non-Hispanic`."""
    prefixes = enumerate(RACE_PREFIXES)
    return next(
        (code for code, prefix in prefixes if str(race).startswith(prefix)), len(RACE_PREFIXES)
    )
