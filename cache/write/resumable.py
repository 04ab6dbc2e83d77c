"""A cache that takes hours to write, and goes on where it was killed (see FORMAT.md)."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from clip_cfr.cache.errors import CacheError, FieldError, located
from clip_cfr.cache.files.atomic import (
    beside,
    locked,
    move_into_place,
    refuse_finished,
    unwritable,
    write_synced,
)
from clip_cfr.cache.files.flat_rows import FlatRows
from clip_cfr.cache.files.journal import Batch, Journal, batch_checksum, batch_line
from clip_cfr.cache.files.sink import write_all
from clip_cfr.cache.format.invariants import check_feature_block
from clip_cfr.cache.format.schema import FeatureCache, Head, Rows, Texts
from clip_cfr.cache.write.recovery import recovered
from clip_cfr.cache.write.writer import place, total_bytes

TOO_LARGE = "float16 ends at 65504: run again with --features-dtype float32 --overwrite"
NOT_A_NUMBER = "the model gave it: run again with --dtype float32 --overwrite"


class GrowingCache:
    """A context in which features are appended batch by batch, and at the end made a cache.

    `job` is any dict that JSON can hold: what decides the features, such as the model and the
    manifest. A journal of an equal job is gone on with; that of another one only gives way to
    `overwrite`, as a finished file does.

    Attributes:
        next_row: how many rows are committed; the next batch begins there.
        encoded_in: how many rows of the last batch were encoded together, where that is fewer than
            the job's batch size.
        halvings: a pair of first row and size for each time that it became fewer.

    Raises:
        CacheError: on entering, where another process writes the file, a finished file would be
            replaced, or the journal belongs to another job.
    """

    def __init__(
        self,
        path: str | Path,
        job: dict[str, Any],
        num_rows: int,
        dim: int,
        dtype: Literal["float16", "float32"],
        overwrite: bool = False,
    ):
        self.path = Path(path)
        self.next_row = 0
        self.encoded_in: int | None = None
        self.halvings: list[list[int]] = []
        self._job = job | {"num_rows": num_rows, "dim": dim, "dtype": dtype}
        self._overwrite = overwrite
        self._stored = FlatRows(beside(self.path, "partial"), (num_rows, dim), np.dtype(dtype))
        self._journal_path = beside(self.path, "journal")
        self._valid = np.zeros(num_rows, bool)

    @property
    def valid(self) -> np.ndarray:
        """Which of the committed rows could be read, (next_row,) bool."""
        return self._valid[: self.next_row].copy()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(locked(self.path))
            refuse_finished(self.path, self._overwrite)
            try:
                self._resume()
                stack.callback(self._remove_if_empty)
                self._data = stack.enter_context(open(self._stored.path, "ab", buffering=0))
                self._journal = stack.enter_context(open(self._journal_path, "ab", buffering=0))
            except OSError as error:
                raise self._unwritable(error) from error
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def append(
        self, features: np.ndarray, valid: np.ndarray, encoded_in: int | None = None
    ) -> None:
        """Commits the next rows: once this returns, no kill can lose them.

        Args:
            features: (b, dim), converted to the stored type.
            valid: (b,) bool; rows that are not valid are stored as zeros, whatever they hold.
            encoded_in: how many were encoded together, where fewer than the job's batch size.

        Raises:
            CacheError: a number is not finite, or does not fit the stored type; or the disk is
                full, in which case everything committed before is kept.
        """
        data = self._to_stored(features, valid).tobytes()
        stop = self.next_row + len(valid)
        invalid = tuple((np.flatnonzero(~valid) + self.next_row).tolist())
        checksum = batch_checksum(data, stop, invalid, encoded_in)
        batch = Batch(stop, invalid, checksum, encoded_in)
        try:
            self._commit(data, batch_line(batch))
        except OSError as error:
            raise self._unwritable(error) from error
        self._valid[self.next_row : stop] = valid
        self._count(batch)

    def finish(
        self, dataset: str, rows: Rows, head: Head, texts: Texts, provenance: dict[str, Any]
    ) -> None:
        """Assembles the file, gives it its name, and removes what it grew from.

        Raises:
            CacheError: rows are missing, the contents break a rule of the format, or the disk is
                full; everything committed is kept.
        """
        num_rows = self._stored.shape[0]
        if self.next_row < num_rows:
            raise CacheError(
                f"{self.path}: cannot be finished with {self.next_row} of {num_rows} rows; "
                "run the same command again to go on"
            )
        cache = FeatureCache(dataset, rows, self._valid, self._stored, head, texts, provenance)
        try:
            place(self.path, cache)
        except OSError as error:
            raise self._unwritable(error, total_bytes(cache)) from error
        self._remove()

    def _resume(self) -> None:
        """Reads what is committed, and drops whatever comes after it."""
        beside(self.path, "tmp").unlink(missing_ok=True)
        self._stored.path.touch()
        batches = recovered(self._stored, self._journal_path, self._job, self._overwrite)
        for batch in batches:
            self._count(batch)
        self._valid[: self.next_row] = True
        self._valid[[row for batch in batches for row in batch.invalid]] = False
        os.truncate(self._stored.path, self.next_row * self._stored.row_bytes)
        temporary = beside(self._journal_path, "tmp")
        write_synced(temporary, Journal(self._job, batches).to_bytes())
        move_into_place(temporary, self._journal_path)

    def _count(self, batch: Batch) -> None:
        """Goes on behind a batch that is committed."""
        if batch.encoded_in != self.encoded_in:
            self.halvings.append([self.next_row, batch.encoded_in])
        self.next_row, self.encoded_in = batch.rows, batch.encoded_in

    def _to_stored(self, features: np.ndarray, valid: np.ndarray) -> np.ndarray:
        num_rows, dim = self._stored.shape
        with located(self.path, "this is an error of the program that writes it"):
            if features.shape != (len(valid), dim):
                raise FieldError("features", f"shape {(len(valid), dim)}", f"{features.shape}")
            if self.next_row + len(valid) > num_rows:
                raise FieldError("features", f"{num_rows} rows", self.next_row + len(valid))
        with np.errstate(over="ignore"):
            block = np.where(valid[:, None], features, 0).astype(self._stored.dtype)
        too_large = block.dtype == np.float16 and np.isinf(block).any()
        with located(self.path, TOO_LARGE if too_large else NOT_A_NUMBER):
            check_feature_block(block, valid, self.next_row)
        return block

    def _commit(self, data: bytes, line: bytes) -> None:
        """Brings a batch to the disk: features before the line that says they are there."""
        ends = [os.fstat(file.fileno()).st_size for file in (self._data, self._journal)]
        try:
            for file, written in ((self._data, data), (self._journal, line)):
                write_all(file, written)
                os.fsync(file.fileno())
        except BaseException:
            self._data.truncate(ends[0])
            self._journal.truncate(ends[1])
            raise

    def _unwritable(self, error: OSError, needed: int | None = None) -> CacheError:
        num_rows = self._stored.shape[0]
        if needed is None:
            needed = (2 * num_rows - self.next_row) * self._stored.row_bytes
        return unwritable(
            self.path,
            error,
            needed=f"about {needed:,} bytes are needed to finish",
            safe=f"{self.next_row} of {num_rows} rows are safe in {self._stored.path.name}",
        )

    def _remove_if_empty(self) -> None:
        if self.next_row == 0:
            self._remove()

    def _remove(self) -> None:
        # The journal first: features without one are of no job, and are written over.
        self._journal_path.unlink(missing_ok=True)
        self._stored.path.unlink(missing_ok=True)
