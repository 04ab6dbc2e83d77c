"""Write a cache batch by batch, and resume after a crash or kill (see FORMAT.md)."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from clip_cfr.cache.errors import CacheError, FieldError, error_context
from clip_cfr.cache.files.atomic import (
    make_write_error,
    replace_file,
    temporary_path,
    write_and_sync,
)
from clip_cfr.cache.files.flat_rows import FlatRows
from clip_cfr.cache.files.job_files import (
    check_job_files,
    journal_path,
    partial_path,
    remove_job_files,
)
from clip_cfr.cache.files.journal import Batch, Journal, batch_checksum
from clip_cfr.cache.files.output import resolve_output
from clip_cfr.cache.files.sink import write_all
from clip_cfr.cache.format.invariants import check_feature_block
from clip_cfr.cache.format.schema import FeatureCache, Head, Rows, Texts, Vocabulary
from clip_cfr.cache.write.output import reserve_output
from clip_cfr.cache.write.recovery import recover_batches
from clip_cfr.cache.write.writer import count_bytes, write_atomically

TOO_LARGE = "float16 ends at 65504: run again with --features-dtype float32 --overwrite"
NOT_FINITE = "it is the model's output: run again with --dtype float32 --overwrite"
BUG = "this is a bug in the program that writes the cache"


class ResumableWriter:
    """Context manager that saves features batch by batch, and writes the finished cache.

    Entering it resumes the unfinished job with the same settings, if there is one:

        with ResumableWriter("a.h5", job, num_rows=n, dim=768, dtype="float16") as writer:
            for start in range(writer.next_row, n, 256):
                writer.append(encode(start, start + 256), valid[start : start + 256])
            writer.finish(dataset, rows, head, texts, provenance)

    Args:
        path: the cache to write; if it is a symbolic link, its target.
        job: the settings that determine the features, such as model and manifest, as JSON values;
            `num_rows`, `dim` and `dtype` are added.
        num_rows: number of rows of the finished cache.
        dim: width of the features.
        dtype: type in which the features are stored.
        overwrite: whether to replace a finished cache, and to discard the rows of an unfinished
            job with any settings.

    Attributes:
        next_row: number of saved rows, which is the index of the next row to append.
        halved_batch_size: number of images per batch since the last halving; None before the first.
        batch_size_halvings: `[first row, batch size]` of each halving after running out of memory.
        resumed_files: `(rows, digest)` for each batch that an earlier run has saved with a digest
            of the state of its files.

    Raises:
        CacheError: on entering, if another process writes the file; if it is finished and
            `overwrite` is false; if another program wrote it, or wrote a file whose name the job
            needs; or if the unfinished job has other settings and `overwrite` is false.
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
        self.path = resolve_output(Path(path))
        self.next_row = 0
        self.halved_batch_size: int | None = None
        self.batch_size_halvings: list[list[int]] = []
        self.resumed_files: list[tuple[range, int]] = []
        self._job = job | {"num_rows": num_rows, "dim": dim, "dtype": dtype}
        self._overwrite = overwrite
        self._features = FlatRows(partial_path(self.path), (num_rows, dim), np.dtype(dtype))
        self._journal_path = journal_path(self.path)
        self._valid = np.zeros(num_rows, bool)

    @property
    def valid(self) -> np.ndarray:
        """Whether the image of each saved row could be read, (next_row,) bool."""
        return self._valid[: self.next_row].copy()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(reserve_output(self.path, self._overwrite))
            check_job_files(self.path)
            try:
                self._resume()
                stack.callback(self._remove_if_empty)
                self._data = stack.enter_context(open(self._features.path, "ab", buffering=0))
                self._journal = stack.enter_context(open(self._journal_path, "ab", buffering=0))
            except OSError as error:
                raise self._write_error(error) from error
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def append(
        self,
        features: np.ndarray,
        valid: np.ndarray,
        halved_batch_size: int | None = None,
        files: int | None = None,
    ) -> None:
        """Save the next rows; after the return, a kill does not lose them.

        Args:
            features: (b, dim), converted to the stored type.
            valid: (b,) bool; invalid rows are stored as zeros, and their `features` are ignored.
            halved_batch_size: number of images encoded at once, if it was halved below the job's
                batch size after running out of memory.
            files: digest of the state of the files that the rows were computed from, for
                `resumed_files` of a later run.

        Raises:
            CacheError: a number is not finite or does not fit the stored type, the shape is wrong
                or there are too many rows, or the disk is full; all rows saved before are kept.
        """
        data = self._convert(features, valid).tobytes()
        stop_row = self.next_row + len(valid)
        invalid_rows = tuple((np.flatnonzero(~valid) + self.next_row).tolist())
        checksum = batch_checksum(data, stop_row, invalid_rows, halved_batch_size)
        batch = Batch(stop_row, invalid_rows, checksum, halved_batch_size, files)
        try:
            self._commit(data, batch.to_line())
        except OSError as error:
            raise self._write_error(error) from error
        self._valid[self.next_row : stop_row] = valid
        self._advance(batch)

    def finish(
        self,
        dataset: str,
        rows: Rows,
        head: Head,
        texts: Texts,
        provenance: dict[str, Any],
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """Write the cache atomically, and remove the files of the unfinished job.

        The arguments are the fields of `FeatureCache` besides the saved ones.

        Raises:
            CacheError: rows are missing, the contents break a rule of the format, or the disk is
                full; all saved rows are kept.
        """
        num_rows = self._features.shape[0]
        if self.next_row < num_rows:
            raise CacheError(
                f"{self.path}: cannot be finished with {self.next_row} of {num_rows} rows; "
                "run the same command again to resume"
            )
        cache = FeatureCache(
            dataset, rows, self._valid, self._features, head, texts, provenance, vocabulary
        )
        try:
            write_atomically(self.path, cache, self._overwrite)
        except OSError as error:
            raise self._write_error(error, count_bytes(cache)) from error
        remove_job_files(self.path)

    def _resume(self) -> None:
        """Read the saved batches, truncate the features to them and rewrite the journal."""
        self._features.path.touch()
        batches = recover_batches(self._features, self._journal_path, self._job, self._overwrite)
        for batch in batches:
            if batch.files is not None:
                self.resumed_files.append((range(self.next_row, batch.stop_row), batch.files))
            self._advance(batch)
        self._valid[: self.next_row] = True
        self._valid[[row for batch in batches for row in batch.invalid_rows]] = False
        os.truncate(self._features.path, self.next_row * self._features.row_bytes)
        temporary = temporary_path(self.path)
        write_and_sync(temporary, Journal(self._job, batches).to_bytes())
        replace_file(temporary, self._journal_path)

    def _advance(self, batch: Batch) -> None:
        """Update the public attributes after a batch is saved."""
        if batch.halved_batch_size != self.halved_batch_size:
            self.batch_size_halvings.append([self.next_row, batch.halved_batch_size])
        self.next_row, self.halved_batch_size = batch.stop_row, batch.halved_batch_size

    def _convert(self, features: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return a batch in the stored type, with zeros for invalid rows.

        Raises:
            CacheError: the shape is wrong, or a valid row is not finite in the stored type.
        """
        num_rows, dim = self._features.shape
        with error_context(self.path, BUG):
            if features.shape != (len(valid), dim):
                raise FieldError("features", f"shape {(len(valid), dim)}", f"{features.shape}")
            if self.next_row + len(valid) > num_rows:
                raise FieldError("features", f"{num_rows} rows", self.next_row + len(valid))
        with np.errstate(over="ignore"):
            block = np.where(valid[:, None], features, 0).astype(self._features.dtype)
        too_large = block.dtype == np.float16 and np.isinf(block).any()
        with error_context(self.path, TOO_LARGE if too_large else NOT_FINITE):
            check_feature_block(block, valid, self.next_row)
        return block

    def _commit(self, data: bytes, line: bytes) -> None:
        """Sync the features to the disk, then the line of the journal that commits them."""
        sizes = [os.fstat(file.fileno()).st_size for file in (self._data, self._journal)]
        try:
            for file, written in ((self._data, data), (self._journal, line)):
                write_all(file, written)
                os.fsync(file.fileno())
        except BaseException:
            self._data.truncate(sizes[0])
            self._journal.truncate(sizes[1])
            raise

    def _write_error(self, error: OSError, needed: int | None = None) -> CacheError:
        num_rows = self._features.shape[0]
        if needed is None:  # Both the rest of the rows and the finished file.
            needed = (2 * num_rows - self.next_row) * self._features.row_bytes
        return make_write_error(
            self.path,
            error,
            needed=f"about {needed:,} bytes are needed to finish",
            kept=f"{self.next_row} of {num_rows} rows are safe in {self._features.path.name}",
        )

    def _remove_if_empty(self) -> None:
        if self.next_row == 0:
            remove_job_files(self.path)
