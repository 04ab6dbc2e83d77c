"""Read the headers of a tar archive, and notice where it is damaged or truncated."""

import os
import shlex
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clip_cfr.cache.wording import count_noun
from clip_cfr.extract.errors import ExtractError

BLOCK = tarfile.BLOCKSIZE
# Exceptions besides its own that tarfile raises on damaged headers.
DAMAGE = (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError, OSError)
# First bytes of files that are not tar archives, with a description and a remedy.
FOREIGN = (
    (b"\x1f\x8b", "compressed with gzip", "decompress it with: gunzip {}"),
    (b"BZh", "compressed with bzip2", "decompress it with: bunzip2 {}"),
    (b"\xfd7zXZ", "compressed with xz", "decompress it with: unxz {}"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "decompress it with: unzstd {}"),
    (b"PK\x03\x04", "a zip archive", "unpack {} and use --dataset folder"),
    (b"PAR1", "a Parquet file", "use --dataset parquet for {}"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch it with: git lfs pull -I {}"),
    (b"<", "a page of HTML or XML", "download {} again"),
)  # fmt: skip


class DamagedTarError(ExtractError):
    """A tar archive ends early or has a damaged header; its members before are sound."""


@contextmanager
def open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Yield an uncompressed tar archive. A context manager, which closes the file.

    Raises:
        ExtractError: the file cannot be read or is not an uncompressed tar archive; errors of
            reading in the `with` block are converted too.
    """
    if not path.is_file():
        raise ExtractError(f"{path} is not a regular file, expected a tar archive; check --root")
    try:
        with open(path, "rb") as file:
            check_start(path, file.read(BLOCK))
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                yield tar
    except OSError as error:
        reason = error.strerror or str(error)
        raise ExtractError(f"{path} cannot be read ({reason}); check the file") from error
    except tarfile.TarError as error:
        raise ExtractError(f"{path} is not a tar archive ({error}); download it again") from error


def check_start(path: Path, start: bytes) -> None:
    """Raise ExtractError if a file is empty or of a kind in `FOREIGN`.

    Other files that are not tar archives pass; tarfile rejects them.

    Args:
        path: the file, for messages.
        start: its first bytes.
    """
    if not start:
        raise ExtractError(f"{path} is empty, expected a tar archive; download it again")
    text = start.lstrip().lower()
    for magic, kind, remedy in FOREIGN:
        if start.startswith(magic) or text.startswith(magic):
            raise ExtractError(
                f"{path} is {kind}, expected an uncompressed tar archive, whose images can be read "
                f"in any order; {remedy.format(shlex.quote(str(path)))}"
            )


def iterate_members(path: Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar archive in order; only headers are read.

    Args:
        path: the archive, for messages.
        tar: its reader.

    Raises:
        DamagedTarError: after the members before the damage.
    """
    num_members = 0
    try:
        while (member := tar.next()) is not None:
            # The archive would remember all of its members.
            tar.members.clear()
            num_members += 1
            yield member
    except DAMAGE as error:
        raise damage_error(path, str(error), num_members) from error
    # tarfile mistakes a damaged header for the end.
    if read_block(tar, tar.offset).strip(b"\0"):
        raise damage_error(path, f"the header at byte {tar.offset:,} is invalid", num_members)


def read_block(tar: tarfile.TarFile, offset: int) -> bytes:
    """Return the 512 bytes at an offset of a tar archive; fewer at the end of the file."""
    return os.pread(tar.fileobj.fileno(), BLOCK, offset)


def check_end(path: Path, tar: tarfile.TarFile) -> tuple[str, ...]:
    """Return one warning if an archive has no end marker or has data after it; otherwise none.

    Its members have all been read.
    """
    if len(read_block(tar, tar.offset)) < BLOCK:
        return (f"{path} has no end marker, so samples may be missing at its end",)
    size = os.fstat(tar.fileobj.fileno()).st_size
    rest = find_data(tar, tar.offset, size)
    if rest is None:
        return ()
    return (
        f"{path} has {size - rest:,} bytes after its end marker, which are not read; if several "
        "archives were appended with cat, append them with tar --concatenate instead",
    )


def find_data(tar: tarfile.TarFile, offset: int, size: int) -> int | None:
    """Return the offset of the first block that is not all zero, or None.

    Args:
        tar: reader of the archive.
        offset: offset in bytes of the first block to look at.
        size: length of the archive in bytes.
    """
    blocks = (each for each in range(offset, size, BLOCK) if read_block(tar, each).strip(b"\0"))
    return next(blocks, None)


def damage_error(path: Path, reason: str, num_members: int) -> DamagedTarError:
    """Return, without raising it, the error of an archive that is damaged after some members.

    Args:
        path: the archive.
        reason: the damage, for the message.
        num_members: number of members before it.
    """
    return DamagedTarError(
        f"{path} is truncated or damaged after {count_noun(num_members, 'member')} ({reason}); "
        "download or write it again, or keep the samples before it with --on-error skip"
    )
