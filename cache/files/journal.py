"""The journal of an unfinished job: JSON lines, the job first, then one line per saved batch."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.job_files import has_journal, journal_path, partial_path
from clip_cfr.cache.files.output import find_status, resolve_output
from clip_cfr.cache.format.nested import load_json

FORMAT = "clip-cfr-journal"
VERSION = 1
# Exceptions raised by parsing a line that is torn, damaged or of another format.
PARSE_ERRORS = (ValueError, TypeError, KeyError, AttributeError, OverflowError)
# Types of the entries of a job that this program reads back; numbers are at least 1.
JOB_TYPES = {
    **dict.fromkeys(("num_rows", "dim", "batch_size"), int),
    **dict.fromkeys(("dtype", "model", "device", "compute_dtype"), str),
    **dict.fromkeys(("compile", "channels_last"), bool),
}
REQUIRED = ("num_rows", "dim", "dtype")
TYPE_NAMES = {int: "a positive integer", str: "a string", bool: "true or false"}


@dataclass(frozen=True)
class Batch:
    """A batch of rows whose features are saved; in the file it is one line of JSON.

    A batch starts at the `stop_row` of the batch before it, or at row 0.

    Attributes:
        stop_row: index of the row after the batch (`rows` in the file).
        invalid_rows: indices within the data set of the batch's invalid rows (`invalid`).
        crc32: checksum of the other fields and of the features, see `batch_checksum`.
        halved_batch_size: number of images encoded at once, if it was halved below the job's
            `batch_size` after running out of memory (`encoded_in`); otherwise None.
        files: digest of the state of the batch's image files; None if it is not known. No checksum
            covers it: with a wrong digest the files merely seem to have changed.
    """

    stop_row: int
    invalid_rows: tuple[int, ...]
    crc32: int
    halved_batch_size: int | None = None
    files: int | None = None

    def matches(self, features: bytes) -> bool:
        """Return whether the checksum of the batch with these bytes of features is `crc32`."""
        found = batch_checksum(features, self.stop_row, self.invalid_rows, self.halved_batch_size)
        return found == self.crc32

    def to_line(self) -> bytes:
        """Return the journal's line for this batch, with a line feed.

        For example, `{"rows": 512, "invalid": [300], "crc32": 1234}`; `encoded_in` and `files` are
        left out if they are None.
        """
        rows = {"rows": self.stop_row, "invalid": self.invalid_rows, "crc32": self.crc32}
        optional = {"encoded_in": self.halved_batch_size, "files": self.files}
        known = {name: value for name, value in optional.items() if value is not None}
        return _json_line(rows | known)


@dataclass(frozen=True)
class Journal:
    """The contents of a journal.

    Attributes:
        job: the settings that determine the features, such as `model`, as JSON values; among them
            `num_rows` and `dim` (int) and `dtype` (str) of the features.
        batches: the saved batches, in the order of their rows.
    """

    job: dict[str, Any]
    batches: tuple[Batch, ...]

    def num_saved(self) -> int:
        """Return the number of rows in the saved batches; 0 without one."""
        return self.batches[-1].stop_row if self.batches else 0

    def describe_saved(self) -> str:
        """Return a phrase such as `240 of 600 rows`."""
        return f"{self.num_saved()} of {self.job['num_rows']} rows"

    def to_bytes(self) -> bytes:
        """Return the contents of the file: a line with format, version and job, then each batch."""
        header = {"format": FORMAT, "version": VERSION, "job": self.job}
        header["crc32"] = job_checksum(self.job)
        return _json_line(header) + b"".join(batch.to_line() for batch in self.batches)


def job_checksum(job: dict[str, Any]) -> int:
    """Return the CRC-32 of a job as JSON with sorted keys."""
    return zlib.crc32(json.dumps(job, sort_keys=True).encode())


def batch_checksum(
    features: bytes,
    stop_row: int,
    invalid_rows: Sequence[int],
    halved_batch_size: int | None = None,
) -> int:
    """Return the CRC-32 of a batch: of its fields as a JSON list, followed by its features.

    Args:
        features: bytes of the batch's rows as stored.
        stop_row: see `Batch`.
        invalid_rows: see `Batch`.
        halved_batch_size: see `Batch`; None is not part of the list.
    """
    size = [] if halved_batch_size is None else [halved_batch_size]
    fields = [stop_row, list(invalid_rows), *size]
    return zlib.crc32(features, zlib.crc32(json.dumps(fields).encode()))


def read_journal(path: Path) -> Journal | None:
    """Read a journal up to its first torn or damaged line of a batch.

    The checksums of the batches are not checked.

    Args:
        path: the journal itself, see `journal_path`.

    Returns:
        The journal, or None if the file is missing or its first line is torn, that is without a
        line feed.

    Raises:
        CacheError: the first line is complete, but has another format or version, a wrong checksum,
            or an entry of a wrong type.
    """
    # Bytes after the last line feed are a torn line.
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    if not lines:
        return None
    batches = []
    for line in lines[1:]:
        batch = _parse_batch(line)
        if batch is None:
            break
        batches.append(batch)
    return Journal(_parse_job(path, lines[0]), tuple(batches))


def read_unfinished_job(path: Path) -> dict[str, Any]:
    """Read the settings of the unfinished job that writes the cache `path`.

    Commands fill in settings that the user leaves open from the job, so that the same command
    resumes it.

    Returns:
        The settings, see `Journal.job`; empty if there is no job, or none that has saved a row.

    Raises:
        CacheError: the journal is damaged, or of another version.
    """
    path = resolve_output(path)
    journal = read_journal(journal_path(path)) if has_journal(path) else None
    return journal.job if journal and journal.batches else {}


def describe_unfinished(path: Path) -> str | None:
    """Return a phrase about the unfinished job that writes the cache `path`.

    Returns:
        `unfinished: 240 of 600 rows are saved; run the same command again to resume`, or a phrase
        that no row is saved yet if the journal is missing or torn; None if there is no such job.

    Raises:
        CacheError: the journal is damaged, or of another version.
    """
    path = resolve_output(path)
    journal = read_journal(journal_path(path)) if has_journal(path) else None
    if journal is not None:
        found = journal.describe_saved()
        return f"unfinished: {found} are saved; run the same command again to resume"
    features = find_status(partial_path(path))
    if features is None or (features.st_size and not has_journal(path)):
        return None  # Without a journal, a file of this name was not written by this program.
    return "unfinished, with no row saved yet; run the command that writes it again"


def _parse_job(path: Path, line: bytes) -> dict[str, Any]:
    """Return the job in the first line of a journal."""
    try:
        header = load_json(line)
        found = f"{header['format']} version {header['version']}"
        job = dict(header["job"])
    except PARSE_ERRORS:
        found, header, job = repr(line[:40]), {}, {}
    expected = f"{FORMAT} version {VERSION}"
    if found != expected:
        raise _job_error(path, "", expected, found)
    if "crc32" in header and header["crc32"] != job_checksum(job):
        raise _job_error(path, "", f"settings with CRC-32 {job_checksum(job)}", header["crc32"])
    _check_types(path, job)
    return job


def _check_types(path: Path, job: dict[str, Any]) -> None:
    """Raise CacheError if a known entry of a job has another type than `JOB_TYPES` says."""
    for name, kind in JOB_TYPES.items():
        value = job.get(name)
        if name not in job and name not in REQUIRED:
            continue
        if type(value) is not kind or (kind is int and value < 1) or (kind is str and not value):
            raise _job_error(path, f", {name}", TYPE_NAMES[kind], json.dumps(value))


def _job_error(path: Path, field: str, expected: str, found: object) -> CacheError:
    return CacheError(
        f"{path}: line 1{field}: expected {expected}, found {found}; start again with --overwrite"
    )


def _parse_batch(line: bytes) -> Batch | None:
    """Return the batch in a line, or None if the line is damaged."""
    try:
        values = load_json(line)
        size, files = values.get("encoded_in"), values.get("files")
        return Batch(
            stop_row=int(values["rows"]),
            invalid_rows=tuple(values["invalid"]),
            crc32=int(values["crc32"]),
            halved_batch_size=None if size is None else int(size),
            files=None if files is None else int(files),
        )
    except PARSE_ERRORS:
        return None


def _json_line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False).encode() + b"\n"
