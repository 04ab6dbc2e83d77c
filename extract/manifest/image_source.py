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
        """Return the unchanged bytes of the file of a row; they are not decoded.

        Raises:
            OSError: the file cannot be read, is not a regular file or is larger than
                MAX_FILE_BYTES.
        """
        path = self.root / self.paths[row]
        with open(path, "rb", opener=open_nonblocking) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is a pipe or a device, not a regular file", path)
            check_size(status.st_size)
            return file.read()

    def file_state(self, row: int) -> tuple[int, int]:
        """Return size in bytes and modification time in ns of a row's file; (-1, -1) if missing."""
        return read_file_state(os.path.join(self.root, self.paths[row]))


@dataclass(frozen=True)
class SelectedImages:
    """Rows of another source, selected by index.

    Attributes:
        images: the other source.
        indices: row of the other source for each row of this one.
    """

    images: ImageSource
    indices: Int64[np.ndarray, " n"]

    def read(self, row: int) -> bytes | UInt8[np.ndarray, "height width 3"]:
        """Return the image of row `indices[row]` of the other source: file bytes or RGB pixels.

        Raises:
            OSError: the other source cannot read it.
        """
        return self.images.read(int(self.indices[row]))

    def file_state(self, row: int) -> tuple[int, int] | None:
        """Return the file state of row `indices[row]` of the other source; None without files."""
        return find_file_state(self.images, int(self.indices[row]))


def check_size(num_bytes: int) -> None:
    """Raise OSError (EFBIG) if the bytes of an encoded image are more than MAX_FILE_BYTES."""
    if num_bytes > MAX_FILE_BYTES:
        limit = f"{num_bytes:,} bytes, more than the limit of {MAX_FILE_BYTES:,} for an image"
        raise OSError(errno.EFBIG, f"it has {limit}")


def read_file_state(path: str | Path) -> tuple[int, int]:
    """Return (size in bytes, modification time in ns) of a file.

    The result is MISSING_FILE, (-1, -1), if the file is missing or its state cannot be read.
    """
    try:
        status = os.stat(path)
    except OSError:
        return MISSING_FILE
    return status.st_size, status.st_mtime_ns


def find_file_state(images: ImageSource, row: int) -> tuple[int, int] | None:
    """Return (size in bytes, modification time in ns) of the file of a row.

    Args:
        images: a source; its images are files if it has a method `file_state`.
        row: index of a row of the source.

    Returns:
        The state, (-1, -1) for a missing file; None if the images of the source are not files.
    """
    method = getattr(images, "file_state", None)
    return None if method is None else method(row)


def open_nonblocking(path: str, flags: int) -> int:
    """Open a file with `os.open` and return its descriptor. For the argument `opener` of `open`.

    O_NONBLOCK is added to `flags`, so that opening a pipe without a writer does not wait.
    """
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
