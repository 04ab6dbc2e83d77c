"""A file for HDF5 to write to that a full disk cannot turn into a crash."""

import os
from io import FileIO


def write_all(raw: FileIO, data: bytes | memoryview) -> None:
    """Writes every byte; one call to `write` may take only some of them."""
    left = memoryview(data).cast("B")
    while left:
        left = left[raw.write(left) :]


class Sink:
    """Passes on what HDF5 writes, and keeps the first error instead of raising it.

    The HDF5 library ends the process with a segmentation fault when a write fails while it closes
    a file (seen with HDF5 2.0 and h5py 3.16). So a failed write looks like a success to it, what
    follows is dropped, and `check` raises the error where Python can take it.
    """

    def __init__(self, raw: FileIO):
        self._raw = raw
        self._error: OSError | None = None

    def check(self) -> None:
        """Raises the first error that a write has met."""
        if self._error is not None:
            raise self._error

    def write(self, data: memoryview) -> int:
        if self._error is None:
            try:
                write_all(self._raw, data)
            except OSError as error:
                self._error = error
        return len(data)

    def truncate(self, size: int) -> int:
        if self._error is None:
            try:
                self._raw.truncate(size)
            except OSError as error:
                self._error = error
        return size

    def readinto(self, buffer: memoryview) -> int:
        return self._raw.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def flush(self) -> None:
        """Nothing to do: the raw file has no buffer."""
