"""Data sets as they are published, made small."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

SHARED_DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """The file of a grey picture of 4 by 4 pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (90, 90, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def write_images(jpeg: bytes) -> Callable[[Path, Iterable[str]], None]:
    """Puts a picture at each path below a folder."""

    def write(folder: Path, paths: Iterable[str]) -> None:
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(jpeg)

    return write


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """Finds a real published file, which is no part of this project."""

    def find(name: str) -> Path:
        if not (SHARED_DATA / name).is_file():
            pytest.skip(f"the published file {name} is not at {SHARED_DATA}")
        return SHARED_DATA / name

    return find
