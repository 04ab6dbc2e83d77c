"""Errors of files that hold arrays."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clip_cfr.extract.errors import ExtractError

REMEDY = "save the array with numpy.save as a .npy file"


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Convert each OSError of the block to an ExtractError that names the file."""
    try:
        yield
    except OSError as error:
        raise ExtractError(
            f"{path} cannot be read ({error.strerror or error}); check the path"
        ) from error
