"""Fixtures: a small encoder, and data sets in their published layouts."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

# Published metadata files and labels, in a folder beside the checkout; tests skip without them.
PUBLISHED_FILES = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def same_pixel_limit(monkeypatch):
    """Restore Pillow's limit, which decoding sets to that of its settings in the whole process."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture(scope="session")
def encoder(small_clip: Path):
    """The encoder of the small CLIP, on the CPU."""
    from clip_cfr.extract.encoders.load import load_encoder
    from clip_cfr.extract.encoders.spec import EncoderSpec

    return load_encoder(EncoderSpec(str(small_clip), device="cpu"))


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """The content of a JPEG file: a grey image of 4 by 4 pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (90, 90, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def write_images(jpeg: bytes) -> Callable[[Path, Iterable[str]], None]:
    """Function that writes an image to each path below a folder."""

    def write(folder: Path, paths: Iterable[str]) -> None:
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(jpeg)

    return write


@pytest.fixture
def published_file() -> Callable[[str], Path]:
    """Function that returns the path of a published file, or skips the test without it."""

    def find(name: str) -> Path:
        if not (PUBLISHED_FILES / name).is_file():
            pytest.skip(f"the published file {name} is not in {PUBLISHED_FILES}")
        return PUBLISHED_FILES / name

    return find
