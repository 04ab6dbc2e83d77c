"""The idx files that MNIST is published in."""

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
    """The array of an idx file of bytes, gzipped or not, whatever its name says.

    Raises:
        ExtractError: the file cannot be read, holds another type or number of axes, or is longer
            or shorter than its header says.
    """
    content = read_content(path)
    magic = bytes([0, 0, UNSIGNED_BYTE, ndim])
    if content[:4] != magic:
        raise ExtractError(
            f"{path} begins with {content[:4].hex(' ')}, expected {magic.hex(' ')}: "
            f"an idx file of bytes with {ndim} axes"
        )
    start = 4 + 4 * ndim
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    if len(content) != start + math.prod(shape):
        raise ExtractError(
            f"{path} holds {len(content)} bytes, expected {start + math.prod(shape)} "
            f"for {' x '.join(map(str, shape))}; it is cut off or damaged, copy it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_content(path: Path) -> bytes:
    """The bytes of a file, unpacked where it is gzipped."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ExtractError(f"{path} cannot be unpacked ({error}); copy it again") from error
    except OSError as error:
        raise ExtractError(f"{path}: cannot be read ({error.strerror})") from error
