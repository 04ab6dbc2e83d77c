"""Recover the saved batches of an unfinished job."""

from pathlib import Path
from typing import Any

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.flat_rows import FlatRows
from clip_cfr.cache.files.journal import Batch, Journal, read_journal
from clip_cfr.cache.format.nested import describe_changes


def recover_batches(
    features: FlatRows, journal_path: Path, job: dict[str, Any], overwrite: bool
) -> tuple[Batch, ...]:
    """Return the batches that a new run of the job can keep.

    Args:
        features: the rows of the `.partial` file.
        journal_path: the `.journal` file, which may be missing.
        job: the settings of the new run; the saved batches are kept only if they are the same.
        overwrite: whether to discard the batches of another job instead of raising.

    Raises:
        CacheError: without `overwrite`, the journal belongs to another job or is not readable.
    """
    journal = _read_journal(journal_path, overwrite)
    # A job without a saved batch has nothing to lose, whatever its settings are.
    if journal is None or not journal.batches:
        return ()
    changes = describe_changes(journal.job, job)
    if changes and not overwrite:
        raise CacheError(
            f"{journal_path}: belongs to another job: {'; '.join(changes)}; run again with its "
            "settings to resume it, or start anew with --overwrite"
        )
    return () if changes else _undamaged(features, journal.batches)


def _read_journal(path: Path, overwrite: bool) -> Journal | None:
    try:
        return read_journal(path)
    except CacheError:
        if overwrite:
            return None
        raise


def _undamaged(features: FlatRows, batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
    """Return the batches before the first whose features are missing or damaged."""
    kept: list[Batch] = []
    start, num_rows = 0, min(features.num_complete(), features.shape[0])
    for batch in batches:
        if not start <= batch.stop_row <= num_rows:
            break
        if not batch.matches(features[start : batch.stop_row].tobytes()):
            break
        kept.append(batch)
        start = batch.stop_row
    return tuple(kept)
