"""Unreadable images: warn about them, and detect that their folder has disappeared."""

import numpy as np
from jaxtyping import Bool

from clip_cfr.cache.format.schema import SPLIT_NAMES
from clip_cfr.cache.wording import agree, count_noun
from clip_cfr.extract.engines.base import EncodedBatch
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.manifest import Manifest

# Fraction of a split's rows above which unreadable images are worth a warning.
MANY_UNREADABLE = 0.01


def warn_of_unreadable(manifest: Manifest, valid: Bool[np.ndarray, " n"]) -> list[str]:
    """Return a warning for each split of which all, or more than 1 %, of the images are unreadable.

    For example: `split val: 12 of 300 images could not be read`.

    Args:
        manifest: the rows.
        valid: whether each row could be read.
    """
    found = []
    for code, name in enumerate(SPLIT_NAMES):
        of_split = valid[manifest.rows.splits == code]
        num_bad = int((~of_split).sum())
        if num_bad == len(of_split) > 0:
            found.append(f"split {name}: none of its {len(of_split):,} images could be read")
        elif num_bad > MANY_UNREADABLE * len(of_split):
            found.append(f"split {name}: {num_bad:,} of {len(of_split):,} images could not be read")
    return found


def find_readable_row(batch: EncodedBatch, valid: Bool[np.ndarray, " n"]) -> int | None:
    """Return the last row that was readable, in the batch or before it; None if there is none.

    Args:
        batch: the batch, which is not saved yet.
        valid: whether each saved row was readable.
    """
    in_batch = set(batch.rows) - batch.errors.keys()
    return max([*np.flatnonzero(valid)[-1:].tolist(), *in_batch], default=None)


def check_still_readable(manifest: Manifest, row: int, num_kept: int) -> None:
    """Raise ExtractError if a row that was readable is not any more.

    The cause is then a file system that has disappeared, and skipping unreadable images would skip
    all remaining rows.

    Args:
        manifest: the rows.
        row: index of the row, whose file is read again.
        num_kept: number of rows that are saved, for the message.
    """
    try:
        manifest.images.read(row)
    except OSError as error:
        raise ExtractError(
            f"{manifest.rows.ids[row]}: was readable before and is not now ({error.strerror}): the "
            "folder of the images has disappeared; restore it and run the same command again to "
            f"resume ({describe_kept(num_kept)})"
        ) from error


def describe_kept(num_rows: int) -> str:
    """Return which rows are saved, such as `the 32 rows before are kept`."""
    return f"the {count_noun(num_rows, 'row')} before {agree(num_rows, 'is', 'are')} kept"
