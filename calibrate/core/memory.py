"""Tells that memory ran out as Python does, whoever noticed it."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

EXHAUSTED = "RESOURCE_EXHAUSTED"


@contextmanager
def memory_errors() -> Iterator[None]:
    """A block in which XLA's word for too little memory, on any device, is a MemoryError."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if EXHAUSTED not in str(error):
            raise
        raise MemoryError(str(error).partition(f"{EXHAUSTED}: ")[2].split("\n")[0]) from error
