"""The exceptions of this package."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CacheError(Exception):
    """A file on disk is not what it should be; the message names it and says what to do."""


class FieldError(CacheError):
    """A field does not hold what the format asks for; `located` adds the file and the remedy."""

    def __init__(self, field: str, expected: str, found: object, row: int | None = None):
        place = field if row is None else f"{field}, row {row}"
        super().__init__(f"{place}: expected {expected}, found {found}")


@contextmanager
def located(path: Path, remedy: str) -> Iterator[None]:
    """A block whose field errors leave it as cache errors that name the file and what to do."""
    try:
        yield
    except FieldError as error:
        raise CacheError(f"{path}: {error}; {remedy}") from error
