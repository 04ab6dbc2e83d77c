"""Convert Ray's exceptions to one line."""

import contextlib
from collections.abc import Iterator

from ray.exceptions import RayError, RayTaskError

from clip_cfr.extract.errors import ExtractError

REMEDY = "the rows written so far are kept: run the same command again to resume"


@contextlib.contextmanager
def convert_ray_errors(operation: str) -> Iterator[None]:
    """Convert Ray's exceptions in the block to an ExtractError, whose cause they become.

    An ExtractError that a task or actor raised keeps its message. Exceptions of other libraries
    pass.

    Args:
        operation: name of the operation, for the message, such as `encoding`.
    """
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, ExtractError):
            raise ExtractError(str(error.cause)) from error
        raise ExtractError(f"{operation} failed ({summarize(error.cause)}); {REMEDY}") from error
    except RayError as error:
        raise ExtractError(f"{operation} failed ({summarize(error)}); {REMEDY}") from error


def summarize(error: BaseException) -> str:
    """Return the class of an exception and the line of its message that states the reason.

    For example: `ValueError: bad shape`.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    # When the creation of an actor fails, Ray's message is a traceback that ends with the reason.
    return f"{type(error).__name__}: {lines[-1] if 'creation task' in lines[0] else lines[0]}"
