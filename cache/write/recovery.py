"""Recover the saved batches of an unfinished job."""

import logging
from pathlib import Path
from typing import Any

from clip_cfr.cache.errors import CacheError
from clip_cfr.cache.files.flat_rows import FlatRows
from clip_cfr.cache.files.journal import Batch, read_journal
from clip_cfr.cache.format.nested import describe_changes

logger = logging.getLogger(__name__)


def recover_batches(
    features: FlatRows, journal_path: Path, job: dict[str, Any], overwrite: bool
) -> tuple[Batch, ...]:
    """Return the saved batches that a new run of the job keeps, in the order of their rows.

    These are the batches before the first one whose features are missing or damaged. With
    `overwrite`, and without a journal, none are kept. The files are not changed.

    Args:
        features: the rows of the `.partial` file.
        journal_path: the `.journal` file, which may be missing.
        job: the settings of the new run; the saved batches are kept only if they are the same.
        overwrite: whether to keep none and start again; a warning is logged if rows are discarded.

    Raises:
        CacheError: without `overwrite`, the journal belongs to another job or is damaged.
    """
    if overwrite:
        _log_discarded(journal_path)
        return ()
    journal = read_journal(journal_path)
    # A job without a saved batch may be replaced by a job with any settings.
    if journal is None or not journal.batches:
        return ()
    changes = describe_changes(journal.job, job)
    if changes:
        raise CacheError(
            f"{journal_path}: belongs to another job: {'; '.join(changes)}; run again with its "
            "settings to resume it, or start again with --overwrite"
        )
    return _undamaged_batches(features, journal.batches)


def _log_discarded(path: Path) -> None:
    """Log how many rows of an unfinished job are discarded, if any."""
    try:
        journal = read_journal(path)
    except CacheError:
        journal = None
    if journal is not None and journal.batches:
        found = journal.describe_saved()
        logger.warning("%s: starts again; %s of an unfinished job are discarded", path, found)


def _undamaged_batches(features: FlatRows, batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
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
