"""A file object for HDF5 that delays write errors and Ctrl-C until HDF5 has returned."""

import os
import signal
import threading
from io import FileIO
from typing import Self


def write_all(raw: FileIO, data: bytes | memoryview) -> None:
    """Write all bytes at the position of an unbuffered file; raise OSError if that fails.

    One call of `raw.write` may write only some of them.
    """
    remaining = memoryview(data).cast("B")
    while remaining:
        remaining = remaining[raw.write(remaining) :]


class Sink:
    """A file object, and a context, that records the first error instead of raising it.

    The HDF5 library ends the process with a segmentation fault if a write fails while it closes a
    file, or if Ctrl-C interrupts a write (seen with HDF5 2.0 and h5py 3.16). So HDF5 sees every
    write succeed. After the first error nothing more is written, and `check` or the end of the
    context raises the error. The end does not if the block raises another one.

    Args:
        raw: an unbuffered file, open for reading and writing; it is not closed here.
    """

    def __init__(self, raw: FileIO):
        self._raw = raw
        self._error: OSError | KeyboardInterrupt | None = None
        self._previous_handler = None

    def __enter__(self) -> Self:
        # Python delivers Ctrl-C to the main thread only, and only there may a handler be set.
        if threading.current_thread() is threading.main_thread():
            self._previous_handler = signal.getsignal(signal.SIGINT)
        if callable(self._previous_handler):
            signal.signal(signal.SIGINT, self._record_interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if callable(self._previous_handler):
            signal.signal(signal.SIGINT, self._previous_handler)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise the first recorded write error or KeyboardInterrupt, if any."""
        if self._error is not None:
            raise self._error

    def write(self, data: memoryview) -> int:
        """Write data unless an error is recorded; always return the length of the data."""
        if self._error is None:
            try:
                write_all(self._raw, data)
            except OSError as error:
                self._error = error
        return len(data)

    def truncate(self, size: int) -> int:
        """Set the size of the file unless an error is recorded; always return `size`."""
        if self._error is None:
            try:
                self._raw.truncate(size)
            except OSError as error:
                self._error = error
        return size

    def readinto(self, buffer: memoryview) -> int:
        """Read into a buffer, and return the number of bytes read."""
        return self._raw.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position in the file as `io.IOBase.seek` does, and return it."""
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        """Return the position in the file."""
        return self._raw.tell()

    def flush(self) -> None:
        """Do nothing: the raw file has no buffer."""

    def _record_interrupt(self, *_: object) -> None:
        self._error = self._error or KeyboardInterrupt()
