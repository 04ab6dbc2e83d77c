"""The journal of a growing cache: JSON lines, first the job, then one line a committed batch."""

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.atomic import beside

FORMAT = "clip-cfr-journal"
VERSION = 1
NOT_A_LINE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


@dataclass(frozen=True)
class Batch:
    """A committed batch: rows stored with it and before it, those of its own that are not valid
    (numbered within the whole data set), its checksum, and how many rows were encoded together
    where memory allowed fewer than the job's `batch_size`."""

    rows: int
    invalid: tuple[int, ...]
    crc32: int
    encoded_in: int | None = None


@dataclass(frozen=True)
class Journal:
    """The job (its settings, `num_rows`, `dim` and `dtype`) and what has been committed of it."""

    job: dict[str, Any]
    batches: tuple[Batch, ...]

    def to_bytes(self) -> bytes:
        """The file's contents."""
        return job_line(self.job) + b"".join(map(batch_line, self.batches))


def batch_checksum(
    data: bytes, rows: int, invalid: tuple[int, ...], encoded_in: int | None = None
) -> int:
    """CRC-32 of `[rows, [invalid]]` as JSON, followed by the bytes of the batch's features.

    Where there is an `encoded_in`, it is the third in that list.
    """
    head = [rows, list(invalid)] if encoded_in is None else [rows, list(invalid), encoded_in]
    return zlib.crc32(data, zlib.crc32(json.dumps(head).encode()))


def job_line(job: dict[str, Any]) -> bytes:
    """The first line of a journal."""
    return _line({"format": FORMAT, "version": VERSION, "job": job})


def batch_line(batch: Batch) -> bytes:
    """The line that commits a batch."""
    return _line({key: value for key, value in asdict(batch).items() if value is not None})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False).encode() + b"\n"


def read_journal(path: Path) -> Journal | None:
    """The journal up to its first torn line; None where not even its first line is whole.

    Raises:
        CacheError: the first line is whole, but not that of a journal that this program knows.
    """
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    if not lines:
        return None
    batches = []
    for line in lines[1:]:
        batch = _read_batch(line)
        if batch is None:
            break
        batches.append(batch)
    return Journal(_read_job(path, lines[0]), tuple(batches))


def _read_job(path: Path, line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
        found = f"{header['format']} of version {header['version']}"
        job = dict(header["job"])
    except NOT_A_LINE:
        found, job = repr(line[:40]), {}
    expected = f"{FORMAT} of version {VERSION}"
    if found != expected:
        raise CacheError(
            f"{path}: line 1: expected {expected}, found {found}; start anew with --overwrite"
        )
    return job


def _read_batch(line: bytes) -> Batch | None:
    try:
        values = json.loads(line)
        size = values.get("encoded_in")
        return Batch(
            int(values["rows"]),
            tuple(values["invalid"]),
            int(values["crc32"]),
            None if size is None else int(size),
        )
    except NOT_A_LINE:
        return None


def begun_job(path: Path) -> dict[str, Any]:
    """The job of the cache that grows at a path; empty where none has committed a row.

    What a user leaves open is taken from there, so that the same command goes on.
    """
    try:
        journal = read_journal(beside(path, "journal"))
    except CacheError:  # Whoever goes on with it says so.
        return {}
    return journal.job if journal and journal.batches else {}


def describe_growing(path: Path) -> str | None:
    """How far the cache that is to be `path` has grown, and what to do; None where none grows."""
    if not beside(path, "partial").exists():
        return None
    journal = read_journal(beside(path, "journal"))
    if journal is None:
        return "still growing, with no row committed; run the command that writes it again"
    rows = journal.batches[-1].rows if journal.batches else 0
    total = journal.job.get("num_rows", "an unknown number of")
    return f"still growing: {rows} of {total} rows so far; run the same command again to go on"


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """One phrase for each setting that differs, nested ones named with dots."""
    old, new = flat(old), flat(new)
    return [
        f"{key} was {_shown(old, key)}, now {_shown(new, key)}"
        for key in sorted(old.keys() | new.keys())
        if _shown(old, key) != _shown(new, key)
    ]


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings with nested ones named with dots."""
    found = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _shown(settings: dict[str, Any], key: str) -> str:
    return json.dumps(settings[key]) if key in settings else "not set"
