"""Digests of the state of image files, so that a resumed job detects a changed one."""

import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int64

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import ImageSource, find_file_state
from clip_cfr.extract.manifest.manifest import Manifest

# On a remote disk the status of a file may take a millisecond: several are asked for at once.
THREADS = 16
ROWS_PER_CALL = 64


def read_file_states(images: ImageSource, rows: Sequence[int]) -> Int64[np.ndarray, "n 2"] | None:
    """Return size in bytes and modification time in ns of the files of some rows.

    Large requests are split among threads.

    Args:
        images: source of the images.
        rows: indices of rows of the source.

    Returns:
        One row for each of `rows`, in their order; (-1, -1) for a missing file. None if `rows` is
        empty or the images are not files.
    """
    if not len(rows) or find_file_state(images, rows[0]) is None:
        return None
    parts = [rows[start : start + ROWS_PER_CALL] for start in range(0, len(rows), ROWS_PER_CALL)]
    if len(parts) == 1:
        return _read_part(images, rows)
    with ThreadPoolExecutor(THREADS) as pool:
        return np.concatenate(list(pool.map(_read_part, [images] * len(parts), parts)))


def digest_file_states(images: ImageSource, rows: Sequence[int]) -> int | None:
    """Return the CRC-32 of the sizes and modification times of the files of some rows.

    The order of `rows` counts. None if `rows` is empty or the images are not files.
    """
    states = read_file_states(images, rows)
    return None if states is None else _digest(states)


def check_files_unchanged(manifest: Manifest, saved: Iterable[tuple[range, int]]) -> None:
    """Raise ExtractError if an image file has changed since it was encoded.

    Only size and modification time are compared, not the contents. Nothing is checked if the images
    are not files.

    Args:
        manifest: the rows of the job.
        saved: ranges of consecutive rows, and the `digest_file_states` of each range at that time.

    Raises:
        ExtractError: the digest of a range differs; the message names the first such range by its
            first and last row.
    """
    saved = list(saved)
    last_row = max((rows.stop for rows, _ in saved), default=0)
    states = read_file_states(manifest.images, range(last_row))
    for rows, digest in saved if states is not None else ():
        if _digest(states[rows.start : rows.stop]) != digest:
            first, last = manifest.rows.ids[rows[0]], manifest.rows.ids[rows[-1]]
            raise ExtractError(
                f"rows {rows[0]} to {rows[-1]} ({first} to {last}): the size or the time of an "
                "image file has changed since the unfinished job encoded it; restore the files and "
                "run the same command again to resume, or start again with --overwrite"
            )


def _read_part(images: ImageSource, rows: Sequence[int]) -> Int64[np.ndarray, "n 2"]:
    return np.array([find_file_state(images, row) for row in rows], "<i8")


def _digest(states: Int64[np.ndarray, "n 2"]) -> int:
    return zlib.crc32(np.ascontiguousarray(states, "<i8"))
