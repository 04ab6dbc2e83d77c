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

    Returns:
        One row for each of `rows`, -1 twice for a missing file; None if the images are not files.
    """
    if not len(rows) or find_file_state(images, rows[0]) is None:
        return None
    parts = [rows[start : start + ROWS_PER_CALL] for start in range(0, len(rows), ROWS_PER_CALL)]
    if len(parts) == 1:
        return _read_part(images, rows)
    with ThreadPoolExecutor(THREADS) as pool:
        return np.concatenate(list(pool.map(_read_part, [images] * len(parts), parts)))


def digest_file_states(images: ImageSource, rows: Sequence[int]) -> int | None:
    """Return a digest of the state of the files of some rows; None if the images are not files."""
    states = read_file_states(images, rows)
    return None if states is None else _digest(states)


def check_files_unchanged(manifest: Manifest, saved: Iterable[tuple[range, int]]) -> None:
    """Check that image files are as they were when they were encoded.

    Args:
        manifest: the rows of the job.
        saved: consecutive rows, and the digest of the state of their files at that time.

    Raises:
        ExtractError: names the first rows whose files have another size or time.
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
