"""Convert the errors of model libraries to one line."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from clip_cfr.extract.errors import ExtractError

MAX_LENGTH = 200


@contextlib.contextmanager
def convert_load_errors(model: str, part: str, folder: Path, remedy: str) -> Iterator[None]:
    """Convert each Exception in the block to an ExtractError about a part of a model.

    An ExtractError passes unchanged. The message is one line: `model M: the weights in FOLDER
    cannot be loaded (KeyError: ...); REMEDY`. Under `python -OO` the remedy is to run without it.

    Args:
        model: the model's name.
        part: what the block loads, such as `weights`.
        folder: where it is loaded from.
        remedy: remedy that ends the message.

    Raises:
        ExtractError: the block raised an Exception, MemoryError included.
    """
    try:
        yield
    except ExtractError:
        raise
    # transformers, open_clip, torch, safetensors and tokenizers each raise exceptions of their own,
    # down to bare Exception.
    except Exception as error:
        if sys.flags.optimize > 1:
            remedy = "transformers needs docstrings: unset PYTHONOPTIMIZE, or run without -OO"
        raise ExtractError(
            f"model {model}: the {part} in {folder} cannot be loaded "
            f"({type(error).__name__}: {first_line(error)}); {remedy}"
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, cut after 200 characters with ` ...`.

    Empty if the error has no text.
    """
    line = (str(error).splitlines() or [""])[0]
    return line if len(line) <= MAX_LENGTH else f"{line[:MAX_LENGTH]} ..."
