"""Import open_clip on demand, and explain why it cannot be imported."""

import contextlib
import importlib
import logging
import warnings
from collections.abc import Iterator
from importlib import metadata
from types import ModuleType

import torch

from clip_cfr.extract.encoders.versions import library_versions
from clip_cfr.extract.errors import ExtractError


def import_open_clip() -> ModuleType:
    """Import open_clip and return the module.

    Raises:
        ModuleNotFoundError: open_clip or torchvision is not installed.
        ExtractError: torchvision was built for another torch.
    """
    try:
        return importlib.import_module("open_clip")
    except ModuleNotFoundError:
        raise
    # A torchvision of another release or build registers operators that torch does not know, or
    # needs symbols that the linker does not find.
    except (RuntimeError, ImportError, OSError) as error:
        raise ExtractError(describe_mismatch(error)) from error


def describe_mismatch(error: Exception) -> str:
    """Return a message that names the two incompatible packages and the remedy."""
    vision, first_line = metadata.version("torchvision"), str(error).partition("\n")[0]
    return (
        f"torchvision {vision}, which open_clip needs, does not work with torch "
        f"{torch.__version__} ({first_line}); install the pair of one release and one build (CPU "
        "or CUDA) together from one index: pip install --force-reinstall torch torchvision"
    )


def open_clip_versions() -> dict[str, str]:
    """Return the installed versions of open_clip_torch, torchvision and timm by these names.

    Raises:
        PackageNotFoundError: one of them is not installed.
    """
    return library_versions("open_clip_torch", "torchvision", "timm")


@contextlib.contextmanager
def silence_open_clip() -> Iterator[None]:
    """Suppress Python warnings, and log messages up to warnings, of all loggers in the block.

    open_clip logs to the root logger.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
