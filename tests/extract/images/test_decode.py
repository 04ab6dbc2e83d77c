import io
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import REMEDY, SKIP, decode_image
from clip_cfr.extract.images.read import read_image
from clip_cfr.extract.manifest.image_source import FileSource


def encode(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def make_noise(mode: str = "RGB", size: tuple[int, int] = (20, 12)) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).convert(mode)


def make_png_bomb(width: int, height: int) -> bytes:
    """Return a PNG file with the header of a large image and almost no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0"))


def encode_transparent_palette() -> bytes:
    image = make_noise("P")
    return encode(image, "PNG", transparency=bytes(range(0, 250, 10)))


def encode_rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(make_noise(), "JPEG", exif=exif)


READABLE = {
    "jpeg": encode(make_noise(), "JPEG"),
    "png": encode(make_noise(), "PNG"),
    "webp": encode(make_noise(), "WEBP"),
    "bmp": encode(make_noise(), "BMP"),
    "gif": encode(make_noise("P"), "GIF"),
    "tiff": encode(make_noise(), "TIFF"),
    "grey": encode(make_noise("L"), "PNG"),
    "one bit": encode(make_noise("1"), "PNG"),
    "palette": encode(make_noise("P"), "PNG"),
    "transparent palette": encode_transparent_palette(),
    "transparent colour": encode(make_noise(), "PNG", transparency=(1, 2, 3)),
    "rgba": encode(make_noise("RGBA"), "PNG"),
    "grey and alpha": encode(make_noise("LA"), "PNG"),
    "cmyk": encode(make_noise("CMYK"), "JPEG"),
    "orientation": encode_rotated(),
}


@pytest.mark.parametrize("kind", READABLE)
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_an_image_equals_that_of_transformers(kind):
    from transformers.image_utils import load_image

    image = decode_image(READABLE[kind], "image")
    assert image.mode == "RGB"
    with Image.open(io.BytesIO(READABLE[kind])) as opened:
        np.testing.assert_array_equal(image, load_image(opened))


def test_the_orientation_rotates_the_image():
    assert decode_image(READABLE["orientation"], "image").size == (12, 20)


def test_decoded_pixels_are_unchanged():
    pixels = np.asarray(make_noise())
    np.testing.assert_array_equal(decode_image(pixels, "row"), pixels)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_instead_of_clipped(form):
    deep = np.array([[0, 256, 1000], [32768, 40000, 65535]], np.uint16)
    image = decode_image(encode(Image.fromarray(deep), form), "deep")
    expected = np.array([[0, 1, 4], [128, 156, 255]])
    np.testing.assert_array_equal(np.asarray(image), np.stack([expected] * 3, axis=-1))


UNREADABLE = {
    "zero bytes": (b"", "the file is empty"),
    "text": (
        b"not an image at all\n",
        "the file is text instead of an image; download the image again (it begins with b'not an "
        "image at ')",
    ),
    "truncated": (
        READABLE["jpeg"][:-40],
        "the image cannot be decoded (image file is truncated (",
    ),
    "bomb": (
        make_png_bomb(40_000, 25_000),
        "the image has 1,000,000,000 pixels, more than the limit of 89,478,485; raise it with "
        "--max-pixels 1000000000, or leave",
    ),
    "half a bomb": (
        make_png_bomb(10_000, 10_000),
        "the image has 100,000,000 pixels, more than the limit of 89,478,485; raise it with "
        "--max-pixels 100000000, or leave",
    ),
    "float": (
        encode(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"),
        "the image cannot be decoded (floating-point pixels, expected integers of 8 or 16 bits)",
    ),
    "32 bits": (
        encode(Image.fromarray(np.full((2, 2), 70_000, np.int32)), "TIFF"),
        "the image cannot be decoded (grey values from 70000 to 70000, expected 8 or 16 bits "
        "without sign)",
    ),
    "postscript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "the file is a PostScript file; convert it to PNG",
    ),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_error_names_reason_and_remedy(kind):
    raw, expected = UNREADABLE[kind]
    with pytest.raises(ExtractError) as caught:
        decode_image(raw, "birds/001.jpg")
    assert str(caught.value).startswith(f"birds/001.jpg: {expected}")
    assert str(caught.value).endswith(SKIP)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "folder.png").mkdir()
    images = FileSource(tmp_path, ("gone.png", "folder.png"))
    with pytest.raises(ExtractError) as caught:
        read_image(images, 0, "gone.png")
    assert str(caught.value) == (
        f"gone.png: the file cannot be read (No such file or directory); {REMEDY}"
    )
    with pytest.raises(ExtractError, match=r"^folder.png: the file cannot be read \(Is a dir"):
        read_image(images, 1, "folder.png")


@settings(deadline=None)
@given(st.sampled_from(sorted(READABLE)), st.data())
def test_a_damaged_file_is_an_image_or_one_error(kind, data):
    raw = bytearray(READABLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(raw) - 1))
        raw[index] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            assert decode_image(bytes(raw[:cut]), "image").mode == "RGB"
        except ExtractError as error:
            assert str(error).startswith("image: ")  # noqa: PT017 (both outcomes are right)


def test_threads_give_the_same_pixels():
    raws = [*READABLE.values()] * 20
    alone = [np.asarray(decode_image(raw, "image")) for raw in raws]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda raw: np.asarray(decode_image(raw, "image")), raws))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_fresh_process_rejects_bombs_without_warnings(tmp_path):
    """It has Python's own warning filters, which pytest replaces."""
    odd_exif = READABLE["jpeg"][:2] + b"\xff\xe1\x00\x10Exif\x00\x00II*\x00\x08\x00\x00\x00"
    (tmp_path / "odd.jpg").write_bytes(odd_exif + READABLE["jpeg"][2:])
    (tmp_path / "bomb.png").write_bytes(make_png_bomb(10_000, 10_000))
    code = (
        "from clip_cfr.extract.images.decode import decode_image\n"
        "from clip_cfr.extract.errors import ExtractError\n"
        "print(decode_image(open('odd.jpg', 'rb').read(), 'odd').size)\n"
        "try:\n    decode_image(open('bomb.png', 'rb').read(), 'bomb')\n"
        "except ExtractError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("(20, 12)\nbomb: the image has 100,000,000 pixels, more than")
