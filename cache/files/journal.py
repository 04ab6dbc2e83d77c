"""The journal of an unfinished job: JSON lines, the job first, then one line per saved batch."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.atomic import add_suffix

FORMAT = "clip-cfr-journal"
VERSION = 1
# What reading a line that is torn, damaged or of another format raises.
PARSE_ERRORS = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


@dataclass(frozen=True)
class Batch:
    """A batch of rows whose features are saved; in the file it is one line of JSON.

    Attributes:
        stop_row: index of the row after the batch (`rows` in the file).
        invalid_rows: indices within the data set of the batch's invalid rows (`invalid`).
        crc32: checksum of the other fields and of the features, see `batch_checksum`.
        halved_batch_size: number of images encoded at once, if lack of memory reduced it below
            the job's `batch_size` (`encoded_in`); otherwise None.
    """

    stop_row: int
    invalid_rows: tuple[int, ...]
    crc32: int
    halved_batch_size: int | None = None

    def matches(self, features: bytes) -> bool:
        """Return whether the bytes of the batch's features have the batch's checksum."""
        found = batch_checksum(features, self.stop_row, self.invalid_rows, self.halved_batch_size)
        return found == self.crc32

    def to_line(self) -> bytes:
        """Return the journal's line for this batch."""
        size = {} if self.halved_batch_size is None else {"encoded_in": self.halved_batch_size}
        rows = {"rows": self.stop_row, "invalid": self.invalid_rows, "crc32": self.crc32}
        return _json_line(rows | size)


@dataclass(frozen=True)
class Journal:
    """The contents of a journal.

    Attributes:
        job: the settings that determine the features, and `num_rows`, `dim` and `dtype`.
        batches: the saved batches, in the order of their rows.
    """

    job: dict[str, Any]
    batches: tuple[Batch, ...]

    def to_bytes(self) -> bytes:
        """Return the contents of the file."""
        header = _json_line({"format": FORMAT, "version": VERSION, "job": self.job})
        return header + b"".join(batch.to_line() for batch in self.batches)


def batch_checksum(
    features: bytes,
    stop_row: int,
    invalid_rows: Sequence[int],
    halved_batch_size: int | None = None,
) -> int:
    """Return the CRC-32 of the fields of a batch, as a JSON list, followed by its features."""
    size = [] if halved_batch_size is None else [halved_batch_size]
    fields = [stop_row, list(invalid_rows), *size]
    return zlib.crc32(features, zlib.crc32(json.dumps(fields).encode()))


def read_journal(path: Path) -> Journal | None:
    """Read a journal up to its first torn line.

    Returns:
        The journal, or None if the file is missing or its first line is torn.

    Raises:
        CacheError: the first line is complete, but of another format or version.
    """
    # What follows the last line feed is torn.
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

    A command takes the settings that its user leaves open from here, so that the same command
    resumes the job.

    Returns:
        The settings; empty if there is no job, or none that has saved a row.
    """
    try:
        journal = read_journal(add_suffix(path, ".journal"))
    except CacheError:  # Resuming the job raises it again.
        return {}
    return journal.job if journal and journal.batches else {}


def describe_unfinished(path: Path) -> str | None:
    """Return how far the unfinished job that writes `path` is and how to resume it, if any."""
    if not add_suffix(path, ".partial").exists():
        return None
    journal = read_journal(add_suffix(path, ".journal"))
    if journal is None:
        return "unfinished, with no row saved yet; run the command that writes it again"
    rows = journal.batches[-1].stop_row if journal.batches else 0
    total = journal.job.get("num_rows", "an unknown number of")
    return f"unfinished: {rows} of {total} rows are saved; run the same command again to resume"


def _parse_job(path: Path, line: bytes) -> dict[str, Any]:
    """Return the job in the first line of a journal."""
    try:
        header = json.loads(line)
        found = f"{header['format']} version {header['version']}"
        job = dict(header["job"])
    except PARSE_ERRORS:
        found, job = repr(line[:40]), {}
    expected = f"{FORMAT} version {VERSION}"
    if found != expected:
        raise CacheError(
            f"{path}: line 1: expected {expected}, found {found}; start anew with --overwrite"
        )
    return job


def _parse_batch(line: bytes) -> Batch | None:
    """Return the batch in a line, or None if the line is damaged."""
    try:
        values = json.loads(line)
        size = values.get("encoded_in")
        return Batch(
            stop_row=int(values["rows"]),
            invalid_rows=tuple(values["invalid"]),
            crc32=int(values["crc32"]),
            halved_batch_size=None if size is None else int(size),
        )
    except PARSE_ERRORS:
        return None


def _json_line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False).encode() + b"\n"
