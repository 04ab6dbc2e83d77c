"""What of a growing cache can be gone on with."""

from pathlib import Path
from typing import Any

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.flat_rows import FlatRows
from clip_cfr.cache.files.journal import Batch, batch_checksum, differences, read_journal


def recovered(
    stored: FlatRows, journal_path: Path, job: dict[str, Any], overwrite: bool
) -> tuple[Batch, ...]:
    """The committed batches of this job whose features are all in the file.

    None of them where there is no journal, or with `overwrite` where it is of another job.

    Raises:
        CacheError: the journal is of another job, or not one that this program knows.
    """
    try:
        journal = read_journal(journal_path)
    except CacheError:
        if overwrite:
            return ()
        raise
    # A job that committed nothing has nothing to lose, whatever its settings were.
    if journal is None or not journal.batches:
        return ()
    changes = differences(journal.job, job)
    if changes and not overwrite:
        raise CacheError(
            f"{journal_path}: belongs to another job: {'; '.join(changes)}; run again with the "
            "settings that it was begun with, or start anew with --overwrite"
        )
    return () if changes else _good(stored, journal.batches)


def _good(stored: FlatRows, batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
    """The batches before the first whose features are not, or no longer, in the file."""
    good: list[Batch] = []
    start, num_whole = 0, min(stored.num_whole(), stored.shape[0])
    for batch in batches:
        if not start <= batch.rows <= num_whole:
            break
        data = stored[start : batch.rows].tobytes()
        if batch_checksum(data, batch.rows, batch.invalid, batch.encoded_in) != batch.crc32:
            break
        good.append(batch)
        start = batch.rows
    return tuple(good)
