"""The library open_clip, imported when it is needed, and what is wrong where it cannot be."""

import contextlib
import importlib
import logging
import warnings
from collections.abc import Iterator
from importlib import metadata
from types import ModuleType

import torch

from clip_cfr.extract.errors import ExtractError


def open_clip() -> ModuleType:
    """The module.

    Raises:
        ModuleNotFoundError: it, or torchvision, is not installed.
        ExtractError: torchvision was built for another torch.
    """
    try:
        return importlib.import_module("open_clip")
    except ModuleNotFoundError:
        raise
    # What a torchvision of another release or build raises: operators that it declares nowhere,
    # or symbols that the linker does not find.
    except (RuntimeError, ImportError, OSError) as error:
        raise ExtractError(mismatch(error)) from error


def mismatch(error: Exception) -> str:
    """The line that says which two packages do not fit, and what to do."""
    vision, first_line = metadata.version("torchvision"), str(error).partition("\n")[0]
    return (
        f"torchvision {vision}, which open_clip needs, does not work beside torch "
        f"{torch.__version__} ({first_line}); install the pair of one release and one build (CPU "
        "or CUDA) together from one index: pip install --force-reinstall torch torchvision"
    )


def versions() -> dict[str, str]:
    """The versions of the libraries that only a model of open_clip passes through."""
    names = ("open_clip_torch", "torchvision", "timm")
    return {name: metadata.version(name) for name in names}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """A block in which open_clip, which warns and logs to the root logger, says nothing."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
