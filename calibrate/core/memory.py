"""Conversion of XLA out-of-memory errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"


@contextmanager
def convert_memory_errors() -> Iterator[None]:
    """Convert XLA out-of-memory errors, on any device, to MemoryError within the block.

    The message is the first line of XLA's text after `RESOURCE_EXHAUSTED: `. Other errors pass
    unchanged.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if OUT_OF_MEMORY not in str(error):
            raise
        raise MemoryError(str(error).partition(f"{OUT_OF_MEMORY}: ")[2].split("\n")[0]) from error
