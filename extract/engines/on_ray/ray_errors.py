"""What Ray raises, as one line for the user."""

import contextlib
from collections.abc import Iterator

from ray.exceptions import RayError, RayTaskError

from clip_cfr.extract.errors import ExtractError

REMEDY = "what is saved is kept: run the same command again"


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns what Ray raises over a task into an ExtractError; `what` was to be done."""
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, ExtractError):
            raise ExtractError(str(error.cause)) from error
        raise ExtractError(f"{what} failed ({one_line(error.cause)}); {REMEDY}") from error
    except RayError as error:
        raise ExtractError(f"{what} failed ({one_line(error)}); {REMEDY}") from error


def one_line(error: BaseException) -> str:
    """The kind of an error and the line of its message that says why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    # Where an actor could not be made, Ray appends a traceback.
    return f"{type(error).__name__}: {lines[-1] if 'creation task' in lines[0] else lines[0]}"
