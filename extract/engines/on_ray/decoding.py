"""The Ray task that decodes images; it does not import torch, so its process starts fast."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import UInt8

from clip_cfr.extract.encoders.versions import library_versions
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.read import PixelReader, ReadReport

DECODING_LIBRARIES = ("pillow", "numpy")


@dataclass(frozen=True)
class DecodingContext:
    """What a process needs to decode any row.

    Attributes:
        reader: reads rows as pixels.
        working_folder: the driver's working folder, in which relative paths begin.
        versions: versions of the libraries that determine the pixels, by name.
    """

    reader: PixelReader
    working_folder: str
    versions: Mapping[str, str]


def decode_rows(
    context: Sequence[Any], rows: range, names: Sequence[str]
) -> tuple[UInt8[np.ndarray, "n side side 3"], tuple[ReadReport, str]]:
    """Decode rows on the host that runs this task.

    Args:
        context: a list with the reference to a `DecodingContext`. Ray would resolve a bare
            reference for every call; each process resolves this one once.
        rows: row indices.
        names: name of each of these rows, for error messages.

    Returns:
        The pixels, black where an image cannot be read; then the errors and notes of the rows, and
        this host's name.

    Raises:
        ExtractError: this host has other library versions, or memory is short.
    """
    found = fetch_context(context[0])
    try:
        pixels, report = found.reader.read(list(zip(rows, names, strict=True)))
    except MemoryError as error:
        raise ExtractError(
            f"out of memory on {socket.gethostname()}: {error}; give nodes more memory, or leave "
            "out large images with a smaller --max-pixels and --on-error skip"
        ) from error
    return pixels, (report, socket.gethostname())


@lru_cache(maxsize=1)
def fetch_context(reference: Any) -> DecodingContext:
    """Fetch the context, enter its working folder and check the library versions.

    The last context is kept: a second call with the same reference returns it at once.

    Raises:
        ExtractError: this host has other versions of Pillow or NumPy.
    """
    from clip_cfr.extract.engines.on_ray.waiting import fetch

    context = fetch(reference)
    enter_folder(context.working_folder)
    found = library_versions(*DECODING_LIBRARIES)
    if found != context.versions:
        raise ExtractError(
            f"{socket.gethostname()} has {format_versions(found)}, the encoders have "
            f"{format_versions(context.versions)}: the same images would give other pixels; "
            "install the same versions on every node"
        )
    return context


def enter_folder(folder: str) -> None:
    """Make `folder`, the driver's working folder, that of this process, if this host has it."""
    if os.path.isdir(folder):
        os.chdir(folder)


def format_versions(versions: Mapping[str, str]) -> str:
    """Return names and versions as text, such as `pillow 12.0.0, numpy 2.3.4`."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
