"""What a library raises over a damaged file, said in one line."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from clip_cfr.extract.errors import ExtractError


@contextlib.contextmanager
def explained(model: str, part: str, place: Path) -> Iterator[None]:
    """A block in which whatever is raised becomes an ExtractError about a part of a model."""
    try:
        yield
    # transformers, open_clip, torch, safetensors and tokenizers each have their own, down to bare
    # Exception.
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise ExtractError(
            f"model {model}: the {part} in {place} cannot be loaded "
            f"({type(error).__name__}: {first_line}); fetch the model again"
        ) from error
