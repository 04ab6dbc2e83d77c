"""What a task on Ray does to decode images; without torch, so that its process starts soon."""

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
from clip_cfr.extract.images.preprocessing import View
from clip_cfr.extract.images.read import read_pixels
from clip_cfr.extract.manifest.image_source import ImageSource

DECODING = ("pillow", "numpy")


@dataclass(frozen=True)
class Source:
    """What a process needs to decode any row.

    Attributes:
        home: the folder that relative paths begin in.
        versions: of the libraries that the pixels depend on.
    """

    images: ImageSource
    view: View
    home: str
    versions: Mapping[str, str]


def decode(
    source: Sequence[Any], rows: range, names: Sequence[str]
) -> tuple[UInt8[np.ndarray, "n side side 3"], tuple[dict[int, str], str]]:
    """The pixels of rows; then what is wrong with some, and the name of this machine.

    `source` holds the reference to a `Source`: within a list Ray leaves it as it is, and each
    process fetches it once instead of once a batch.

    Raises:
        ExtractError: this machine has other libraries.
    """
    found = opened(source[0])
    pixels, errors = read_pixels(found.images, found.view, list(zip(rows, names, strict=True)))
    return pixels, (errors, socket.gethostname())


@lru_cache(maxsize=1)
def opened(reference: Any) -> Source:
    """The source, fetched, once its paths mean here what they mean to the driver."""
    import ray

    source = ray.get(reference)
    go_home(source.home)
    found = library_versions(*DECODING)
    if found != source.versions:
        raise ExtractError(
            f"{socket.gethostname()} has {told(found)}, the encoders have {told(source.versions)}: "
            "images would not become the same pixels; install the same versions on every node"
        )
    return source


def go_home(folder: str) -> None:
    """Makes relative paths begin where they do for the driver, if this machine has that folder."""
    if os.path.isdir(folder):
        os.chdir(folder)


def told(versions: Mapping[str, str]) -> str:
    """Names and versions as a phrase."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
