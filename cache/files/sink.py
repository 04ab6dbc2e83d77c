"""A file for HDF5 to write to that neither a full disk nor Ctrl-C can turn into a crash."""

import os
import signal
import threading
from io import FileIO
from typing import Self


def write_all(raw: FileIO, data: bytes | memoryview) -> None:
    """Writes every byte; one call to `write` may take only some of them."""
    left = memoryview(data).cast("B")
    while left:
        left = left[raw.write(left) :]


class Sink:
    """A context that passes on what HDF5 writes, and keeps the first error instead of raising it.

    The HDF5 library ends the process with a segmentation fault when a write fails while it closes
    a file, and when Ctrl-C interrupts a write (seen with HDF5 2.0 and h5py 3.16). So a failed
    write looks like a success to it, what follows is dropped, and the error is raised by `check`
    or at the end of the context, where Python can take it.
    """

    def __init__(self, raw: FileIO):
        self._raw = raw
        self._error: OSError | KeyboardInterrupt | None = None
        self._interrupt = None

    def __enter__(self) -> Self:
        # Python delivers Ctrl-C to its main thread alone, and only there can it be held back.
        if threading.current_thread() is threading.main_thread():
            self._interrupt = signal.getsignal(signal.SIGINT)
        if callable(self._interrupt):
            signal.signal(signal.SIGINT, self._keep_interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if callable(self._interrupt):
            signal.signal(signal.SIGINT, self._interrupt)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raises the first error that a write has met, or the Ctrl-C that came meanwhile."""
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

    def _keep_interrupt(self, *_: object) -> None:
        self._error = self._error or KeyboardInterrupt()
