"""Convert the errors of model libraries to one line."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from clip_cfr.extract.errors import ExtractError


@contextlib.contextmanager
def convert_load_errors(model: str, part: str, folder: Path) -> Iterator[None]:
    """Convert any exception in the block to an ExtractError about a part of a model.

    Args:
        model: the model's name.
        part: what the block loads, such as `weights`.
        folder: where it is loaded from.
    """
    try:
        yield
    # transformers, open_clip, torch, safetensors and tokenizers each raise exceptions of their own,
    # down to bare Exception.
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise ExtractError(
            f"model {model}: the {part} in {folder} cannot be loaded "
            f"({type(error).__name__}: {first_line}); download the model again"
        ) from error
