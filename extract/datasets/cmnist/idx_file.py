"""Reader of idx files, the format of MNIST."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from clip_cfr.extract.errors import ExtractError

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 8


def read_idx(path: Path, ndim: int) -> UInt8[np.ndarray, "..."]:
    """Read an idx file of unsigned bytes with `ndim` axes, gzipped or not.

    The array has the shape in the header and is read-only. The name of the file does not matter.

    Raises:
        ExtractError: the file cannot be read, has another type or number of axes, or is longer or
            shorter than its header says.
    """
    content = read_content(path)
    magic = bytes([0, 0, UNSIGNED_BYTE, ndim])
    if content[:4] != magic:
        raise ExtractError(
            f"{path} starts with {content[:4].hex(' ')}, expected {magic.hex(' ')}: "
            f"an idx file of unsigned bytes with {ndim} axes; download it again"
        )
    start = 4 + 4 * ndim
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise ExtractError(
            f"{path} has {len(content)} bytes, expected {expected} for the shape "
            f"{' x '.join(map(str, shape))}; it is truncated or damaged, download it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_content(path: Path) -> bytes:
    """Return the bytes of a file, decompressed if they begin as gzip does.

    Raises:
        ExtractError: the file cannot be read or decompressed.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ExtractError(f"{path} cannot be decompressed ({error}); download it again") from error
    except OSError as error:
        raise ExtractError(f"{path} cannot be read ({error.strerror}); check the path") from error
