"""Small pictures of images, as data URLs."""

import base64
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SIDE = 72
# Stops before the page of a large run gets too large to open on a phone.
MAX_BYTES = 2_000_000


@dataclass
class Pictures:
    """Small pictures of images below a folder, at most a number of them.

    Attributes:
        root: the folder; None for no pictures.
        limit: largest number of pictures.
        urls: the pictures made so far, by id.
        counts: number of pictures by the place for which they were made first.
        missing: number of ids without an image that can be read.
        bytes: size of all pictures.
    """

    root: Path | None
    limit: int
    urls: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    bytes: int = 0

    def take(self, ids: Iterable[str], kind: str) -> None:
        """Make the pictures of images until a limit is reached.

        Args:
            ids: the images; those that have a picture keep it.
            kind: where they are shown, such as `of the map`, for `describe`.
        """
        for each in ids:
            if not self._has_room():
                return
            if each not in self.urls and self._add(each):
                self.counts[kind] = self.counts.get(kind, 0) + 1

    def find(self, ids: Iterable[str]) -> dict[str, str]:
        """Return the pictures that were made of some images, as data URLs by id."""
        return {each: self.urls[each] for each in ids if each in self.urls}

    def describe(self) -> str:
        """Return a sentence on the number of pictures; empty without a folder."""
        if self.root is None:
            return ""
        full = ""
        if self.bytes >= MAX_BYTES:
            full = f", as {MAX_BYTES / 1e6:.0f} MB are reached"
        counts = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        parts = f": {counts}" if counts else ""
        lost = f"; {self.missing} images could not be read" if self.missing else ""
        return (
            f"Pictures on this page: {len(self.urls)} of at most {self.limit}{full}{parts}{lost}."
        )

    def _has_room(self) -> bool:
        return self.root is not None and len(self.urls) < self.limit and self.bytes < MAX_BYTES

    def _add(self, name: str) -> bool:
        url = read_picture(self.root, name)
        if url is None:
            self.missing += 1
            return False
        self.urls[name] = url
        self.bytes += len(url)
        return True


def read_picture(root: Path, name: str) -> str | None:
    """Return the image of an id as a data URL; None if it is missing or cannot be read."""
    from matplotlib.image import imread, imsave

    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        return None
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on metadata that are damaged.
            pixels = shrink(to_rgb(imread(path)))
            imsave(buffer, pixels, format="jpg", pil_kwargs={"quality": 80})
    except (OSError, ValueError, SyntaxError, TypeError, MemoryError):
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """Return an image as (height, width, 3) in [0, 1]; transparency is dropped."""
    if pixels.dtype == np.uint8:
        pixels = pixels / 255.0
    elif np.issubdtype(pixels.dtype, np.integer):
        pixels = pixels / max(int(pixels.max()), 1)
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        grey = pixels if pixels.ndim == 2 else pixels[..., 0]
        return np.repeat(grey[..., None], 3, axis=2)
    return pixels[..., :3]


def shrink(pixels: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return an image whose longer side has at most `side` pixels, as means over its pixels."""
    scale = max(max(pixels.shape[:2]) / side, 1)
    for axis in (0, 1):
        size = max(round(pixels.shape[axis] / scale), 1)
        starts = np.linspace(0, pixels.shape[axis], size, endpoint=False).astype(int)
        widths = np.diff(np.append(starts, pixels.shape[axis]))
        sums = np.add.reduceat(pixels, starts, axis=axis)
        pixels = sums / widths.reshape([-1 if each == axis else 1 for each in range(3)])
    return np.clip(pixels, 0, 1)
