"""Images in the rows of Parquet files, read in place, a few rows at a time."""

import errno
import functools
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from clip_cfr.extract.datasets.parquet.parquet_files import BYTES, PATH
from clip_cfr.extract.manifest.image_source import FileSource, read_file_state

# Rows that are decoded together: a row group may have a thousand images, of a gigabyte.
BATCH_SIZE = 16
BUFFER_SIZE = 1 << 20
MAX_OPEN = 2


@dataclass(frozen=True)
class ParquetImages:
    """Images in a column of Parquet files.

    Attributes:
        paths: the files.
        sizes: their lengths in bytes when their footers were read.
        column: the column of images: bytes, or structs of bytes and path.
        folder: folder that the paths in structs without bytes are relative to.
        files: index of the file of each row.
        groups: index of the row group of each row in its file.
        positions: index of each row in its row group.
    """

    paths: tuple[Path, ...]
    sizes: tuple[int, ...]
    column: str
    folder: Path
    files: Int32[np.ndarray, " n"]
    groups: Int32[np.ndarray, " n"]
    positions: Int64[np.ndarray, " n"]

    def read(self, row: int) -> bytes:
        """Return the encoded bytes of the image of a row. Several threads may read at a time.

        Without bytes, the file at the path beside them is read. Fast if the rows that a process
        reads ascend.

        Raises:
            OSError: the row has neither bytes nor a path, the image cannot be read, or the file has
                another size than before.
        """
        file = int(self.files[row])
        path, group = self.paths[file], int(self.groups[row])
        stream = open_stream(path, self.sizes[file], group, self.column)
        value = stream.read(int(self.positions[row]))
        image = value if isinstance(value, dict) else {BYTES: value}
        if image.get(BYTES) is not None:
            return image[BYTES]
        if image.get(PATH):
            return FileSource(self.folder, (image[PATH],)).read(0)
        raise OSError(errno.ENODATA, f"{path} has no bytes for it")

    def file_state(self, row: int) -> tuple[int, int]:
        """Return size in bytes and modification time in ns of the Parquet file of a row.

        (-1, -1) if it is missing.
        """
        return read_file_state(self.paths[self.files[row]])


class RowGroupStream:
    """Reads a column of a row group in ascending order; an earlier row restarts it.

    A few rows are in memory at a time. Threads may share it.

    Attributes:
        path: the Parquet file.
        group: index of the row group.
        column: name of the column.
        first: index, in the row group, of the first row in memory.
        values: values of the rows in memory, an Arrow array.
        error: why no further rows can be read; empty if they can.
    """

    def __init__(self, path: Path, size: int, group: int, column: str):
        """Check the file and go to the start of the row group; nothing is read yet.

        Args:
            path: the Parquet file.
            size: its length in bytes when its footer was read.
            group: index of the row group.
            column: name of the column.

        Raises:
            OSError: the file cannot be read, or has another size.
        """
        found = os.stat(path).st_size
        if found != size:
            raise OSError(errno.EIO, f"{path} has {found:,} bytes, and had {size:,} before")
        self.path, self.group, self.column = path, group, column
        self.lock = threading.Lock()
        self.start()

    def read(self, position: int) -> Any:
        """Return the value of a row as a Python object (bytes, dict or None).

        Args:
            position: index of the row in the row group.

        Raises:
            OSError: the file is damaged or cannot be read, or the row group has fewer rows.
        """
        with self.lock:
            if position < self.first:
                self.start()
            while position >= self.first + len(self.values):
                self.advance()
            return self.values[position - self.first].as_py()

    def start(self) -> None:
        """Go to the start of the row group: no rows are in memory, and errors are forgotten."""
        import pyarrow as pa

        self.error, self.first, self.values = "", 0, pa.array([])
        self.batches = iterate_batches(self.path, self.group, self.column)

    def advance(self) -> None:
        """Replace the rows in memory by the next rows. Rows after damage are not tried again.

        Raises:
            OSError: they cannot be read, or there are none.
        """
        import pyarrow as pa

        if not self.error:
            try:
                batch = next(self.batches)
                self.first, self.values = self.first + len(self.values), batch.column(0)
                return
            except (pa.ArrowException, OSError, StopIteration) as error:
                first_line = str(error).partition("\n")[0] or "it has fewer rows than before"
                self.error = f"row group {self.group} of {self.path}: {first_line}"
        raise OSError(errno.EIO, self.error)


def iterate_batches(path: Path, group: int, column: str) -> Any:
    """Yield Arrow record batches of at most BATCH_SIZE rows of one column of a row group."""
    from pyarrow import parquet

    with parquet.ParquetFile(path, buffer_size=BUFFER_SIZE, pre_buffer=False) as file:
        yield from file.iter_batches(
            BATCH_SIZE, row_groups=[group], columns=[column], use_threads=False
        )


@functools.lru_cache(maxsize=MAX_OPEN)
def open_stream(path: Path, size: int, group: int, column: str) -> RowGroupStream:
    """Return the stream of a row group, cached for the last MAX_OPEN that a process reads.

    Args:
        path: the Parquet file.
        size: its length in bytes when its footer was read.
        group: index of the row group.
        column: name of the column.

    Raises:
        OSError: the file cannot be opened, or has another size.
    """
    return RowGroupStream(path, size, group, column)
