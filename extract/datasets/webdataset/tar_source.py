"""Images that are members of tar archives, read in place."""

import errno
import functools
import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64

from clip_cfr.extract.manifest.image_source import check_size

MAX_OPEN = 8


@dataclass(frozen=True)
class TarImages:
    """Images that are parts of archives.

    Attributes:
        paths: the archives.
        states: size in bytes and modification time in ns of each archive when it was indexed.
        archives: index of the archive of each row.
        offsets, sizes: position and length of the bytes of each row in its archive.
        errors: why the image of a row cannot be read, by row.
    """

    paths: tuple[Path, ...]
    states: tuple[tuple[int, int], ...]
    archives: Int32[np.ndarray, " n"]
    offsets: Int64[np.ndarray, " n"]
    sizes: Int64[np.ndarray, " n"]
    errors: Mapping[int, str]

    def read(self, row: int) -> bytes:
        """Return the encoded bytes of the image of a row. Several threads may read at a time.

        Raises:
            OSError: the image cannot be read or is larger than MAX_FILE_BYTES, or the archive has
                another size than when it was indexed.
        """
        if row in self.errors:
            raise OSError(errno.EINVAL, self.errors[row])
        archive, size = int(self.archives[row]), int(self.sizes[row])
        check_size(size)
        path = self.paths[archive]
        file = open_archive(path, self.states[archive])
        content = os.pread(file.descriptor, size, int(self.offsets[row]))
        if len(content) < size:
            raise OSError(errno.EIO, f"{path} ends before the image does")
        return content

    def file_state(self, row: int) -> tuple[int, int]:
        """Return the size in bytes and modification time in ns of a row's archive when indexed."""
        return self.states[self.archives[row]]


class OpenArchive:
    """An open file, which is closed when nothing refers to it any more.

    Attributes:
        descriptor: file descriptor, open for reading.
    """

    def __init__(self, path: Path, size: int):
        """Open a file for reading.

        Args:
            path: the file.
            size: its expected length in bytes.

        Raises:
            OSError: the file cannot be opened, or has another size.
        """
        self.descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.descriptor)
        found = os.fstat(self.descriptor).st_size
        if found != size:
            raise OSError(errno.EIO, f"{path} has {found:,} bytes, and had {size:,} when indexed")


@functools.lru_cache(maxsize=MAX_OPEN)
def open_archive(path: Path, state: tuple[int, int]) -> OpenArchive:
    """Return an archive, which this process keeps open while it is one of the last MAX_OPEN used.

    Args:
        path: the archive.
        state: its size in bytes, which is checked, and its modification time in ns. The time is not
            checked, because other nodes of a cluster may have copies.

    Raises:
        OSError: the archive cannot be opened, or has another size than that of `state`.
    """
    return OpenArchive(path, state[0])
