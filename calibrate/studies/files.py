"""The files of a study: `study.json`, `study.csv` and `study.png`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from clip_cfr.cache.packages import missing_package
from clip_cfr.cache.runs.encoding import csv_bytes, json_bytes
from clip_cfr.cache.runs.study_folder import RESULT, write_study_files
from clip_cfr.calibrate.progress import LineReporter

TABLE, PLOT = "study.csv", "study.png"


@runtime_checkable
class Writable(Protocol):
    """A result of a study."""

    def to_json(self) -> dict[str, Any]:
        """Return the object of `study.json`."""

    def tidy_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of `study.csv`."""


def write_files(directory: Path, result: Writable, plot: Callable[[Any], bytes]) -> None:
    """Write `study.json`, `study.csv` and, where matplotlib is installed, `study.png`.

    Without matplotlib, a warning on standard error names the command that installs it.

    Args:
        directory: the folder of the study.
        result: the result.
        plot: returns its plot as a PNG file.

    Raises:
        CacheError: the folder cannot be written.
    """
    rows = list(result.tidy_rows())
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    files = {RESULT: json_bytes(RESULT, result.to_json()), TABLE: csv_bytes(TABLE, columns)}
    write_study_files(directory, files)
    try:
        picture = plot(result)
    except ModuleNotFoundError as error:
        LineReporter().message(f"warning: no plot: {missing_package(error)}")
        return
    write_study_files(directory, {PLOT: picture})
