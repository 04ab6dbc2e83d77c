"""Images that are members of a zip archive, read in place."""

import errno
import functools
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from clip_cfr.extract.manifest.image_source import check_size

# Exceptions of zipfile: a damaged or an encrypted archive, an unknown compression.
UNREADABLE = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError)


@dataclass(frozen=True)
class ZipImages:
    """Images in a zip archive.

    Attributes:
        path: the archive.
        state: its size in bytes and modification time in ns when it was listed.
        members: index of the member of each row, in the order of the archive.
    """

    path: Path
    state: tuple[int, int]
    members: tuple[int, ...]

    def read(self, row: int) -> bytes:
        """Return the encoded bytes of the image of a row. Several threads may read at a time.

        Raises:
            OSError: the image cannot be read or is larger than MAX_FILE_BYTES.
        """
        try:
            archive = open_zip(self.path, self.state)
            member = archive.infolist()[self.members[row]]
            check_size(member.file_size)
            return archive.read(member)
        except (*UNREADABLE, IndexError) as error:
            raise OSError(errno.EIO, str(error)) from error


@functools.lru_cache(maxsize=8)
def open_zip(path: Path, state: tuple[int, int]) -> zipfile.ZipFile:
    """Return an archive that this process keeps open while it is one of the last 8 used.

    Args:
        path: the archive.
        state: its size and modification time: a changed file is opened again.

    Raises:
        OSError: the file cannot be opened.
        zipfile.BadZipFile: it is no zip archive, or damaged.
    """
    return zipfile.ZipFile(path)
