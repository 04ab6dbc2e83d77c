"""The exceptions of this package."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CacheError(Exception):
    """A problem with a file or folder; the message names it and says what to do."""


class OutputError(CacheError):
    """An output that is also an input of the same command; reported as wrong usage, exit code 2."""


class FieldError(CacheError):
    """A field of a file that breaks a rule of its format.

    Raised by code that does not know the name of the file; `error_context` adds the name and the
    remedy. The message is `labels, row 3: expected a value from 0 to 1, found 7`.

    Args:
        field: name of the field, such as `labels`.
        expected: what the format requires, as a noun phrase.
        found: the value found, as text or as a value to print.
        row: index of the first row that breaks the rule, if there is one.
    """

    def __init__(self, field: str, expected: str, found: object, row: int | None = None):
        where = field if row is None else f"{field}, row {row}"
        super().__init__(f"{where}: expected {expected}, found {found}")


@contextmanager
def error_context(path: Path, remedy: str) -> Iterator[None]:
    """Convert a FieldError that the block raises to a CacheError `PATH: ERROR; REMEDY`.

    Other exceptions propagate unchanged.
    """
    try:
        yield
    except FieldError as error:
        raise CacheError(f"{path}: {error}; {remedy}") from error
