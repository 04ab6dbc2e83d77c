"""Where the images of a manifest come from: files, pixels made in memory, or another source."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Int64, UInt8

# No image within the limits of decoding is this large, but a sparse file may be, and exceed the
# memory.
MAX_FILE_BYTES = 1 << 30
# State of a file that does not exist, see `read_file_state`.
MISSING_FILE = (-1, -1)


class ImageSource(Protocol):
    """Reads the image of a row. Picklable, because decoding runs in worker processes.

    A source of files also has `file_state(row)`, see `find_file_state`: then a resumed job detects
    that a file has changed.
    """

    def read(self, row: int) -> bytes | UInt8[np.ndarray, "height width 3"]:
        """Return the image of a row: the bytes of its encoded file, or its RGB pixels.

        Raises:
            OSError: the file cannot be read.
        """


@dataclass(frozen=True)
class FileSource:
    """Images that are files under a root folder.

    Attributes:
        root: root folder.
        paths: path of each row's image, relative to the root.
    """

    root: Path
    paths: tuple[str, ...]

    def read(self, row: int) -> bytes:
        """Return the bytes of the file of a row.

        Raises:
            OSError: the file cannot be read, is not a regular file or is too large.
        """
        path = self.root / self.paths[row]
        with open(path, "rb", opener=open_nonblocking) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is a pipe or a device, not a regular file", path)
            check_size(status.st_size)
            return file.read()

    def file_state(self, row: int) -> tuple[int, int]:
        """Return size in bytes and modification time in ns of a row's file; -1, -1 without one."""
        return read_file_state(os.path.join(self.root, self.paths[row]))


@dataclass(frozen=True)
class SelectedImages:
    """A subset of the images of another source.

    Attributes:
        images: the other source.
        indices: row of the other source for each row of this one.
    """

    images: ImageSource
    indices: Int64[np.ndarray, " n"]

    def read(self, row: int) -> bytes | UInt8[np.ndarray, "height width 3"]:
        """Return the image of a row, as the other source returns it."""
        return self.images.read(int(self.indices[row]))

    def file_state(self, row: int) -> tuple[int, int] | None:
        """Return the state of the file of a row, as the other source returns it."""
        return find_file_state(self.images, int(self.indices[row]))


def check_size(num_bytes: int) -> None:
    """Raise OSError if an encoded image is larger than MAX_FILE_BYTES."""
    if num_bytes > MAX_FILE_BYTES:
        limit = f"{num_bytes:,} bytes, more than the limit of {MAX_FILE_BYTES:,} for an image"
        raise OSError(errno.EFBIG, f"it has {limit}")


def read_file_state(path: str | Path) -> tuple[int, int]:
    """Return size in bytes and modification time in ns of a file; -1, -1 if it is missing."""
    try:
        status = os.stat(path)
    except OSError:
        return MISSING_FILE
    return status.st_size, status.st_mtime_ns


def find_file_state(images: ImageSource, row: int) -> tuple[int, int] | None:
    """Return size and modification time in ns of the file of a row; None if it is not a file."""
    method = getattr(images, "file_state", None)
    return None if method is None else method(row)


def open_nonblocking(path: str, flags: int) -> int:
    """Open a file without waiting, even if it is a pipe without a writer; return its descriptor."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
