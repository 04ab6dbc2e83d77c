"""What is said of files that are not images, and of EXIF data that cannot be read."""

import struct

import numpy as np
import pytest
from PIL import Image

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import REMEDY, decode
from clip_cfr.extract.images.notes import Note, NoteKind
from clip_cfr.extract.images.settings import DecodeSettings
from tests.extract.images.deep_files import encode, encode_tiff

SETTINGS = DecodeSettings()
RNG = np.random.default_rng(0)
IMAGE = Image.fromarray(RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8))

HTML = (
    "an HTML page instead of an image, such as a failed download or a login page; download the "
    "image again"
)
XML = "XML instead of an image, such as the error message of a server; download the image again"
JSON = XML.replace("XML", "JSON")
TEXT = "text instead of an image; download the image again"
TEXTS = {
    b"<!DOCTYPE html><html><body>404</body></html>": HTML,
    b"\n\n  <HTML>\n<head>": HTML,
    b"\xef\xbb\xbf<html>": HTML,
    "<html>".encode("utf-16"): HTML,
    b"<!-- generated -->\n<html>": HTML,
    b'<?xml version="1.0"?>\n<!DOCTYPE html>': HTML,
    b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>': XML,
    b'{"error": "not found"}': JSON,
    b"Not Found\n": TEXT,
    "Datei nicht verfügbar".encode("cp1252"): TEXT,
    b'<svg xmlns="http://www.w3.org/2000/svg">': "an SVG drawing; convert it to PNG",
    b"version https://git-lfs.github.com/spec/v1\n": (
        "a Git LFS pointer; run `git lfs pull` in its repository"
    ),
}
FILES = {
    b"%PDF-1.7\n": "a PDF document; convert its pages to PNG",
    bytes(1000): "only zero bytes, as an interrupted copy leaves them; copy it again",
    b"PK\x03\x04" + bytes(range(100)): "a zip archive; unpack it",
    b"\0\0\0\x18ftypisom\0\0\2\0isomiso2": "a video; extract its frames",
    encode(IMAGE, "AVIF")[:60]: "a damaged AVIF image",
    encode(IMAGE, "PNG")[:12]: "a damaged PNG image",
    encode_tiff(np.ones((3, 4, 2)), alpha=2): (
        "a TIFF image that is damaged, or of a kind that Pillow does not read, such as 12-bit "
        "colours; convert it to PNG"
    ),
    bytes(range(1, 40)): (
        r"of no known image format (it begins with b'\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r"
        r"\x0e\x0f\x10')"
    ),
}


def error_of(raw: bytes) -> str:
    """Return why a file called a.jpg cannot be decoded."""
    with pytest.raises(ExtractError) as caught:
        decode(raw, "a.jpg", SETTINGS)
    return str(caught.value)


@pytest.mark.parametrize("raw", TEXTS, ids=range(len(TEXTS)))
def test_texts_are_called_what_they_are(raw):
    begin = f"it begins with {raw[:16]!r}"
    assert error_of(raw) == f"a.jpg: the file is {TEXTS[raw]} ({begin}); {REMEDY}"


@pytest.mark.parametrize("raw", FILES, ids=range(len(FILES)))
def test_other_files_are_called_what_they_are(raw):
    assert error_of(raw) == f"a.jpg: the file is {FILES[raw]}; {REMEDY}"


GOOD_EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
DAMAGED_EXIF = {
    "text": b"Exif\0\0made by a program",
    "zeros": b"Exif\0\0" + bytes(8),
    "truncated header": GOOD_EXIF[:12],
    "no entries": GOOD_EXIF[:14],
    "truncated entry": GOOD_EXIF[:24],
    "too many entries": GOOD_EXIF.replace(b"\x01\0\x12", b"\xff\xff\x12"),
    "offset beyond the end": GOOD_EXIF.replace(b"\x08\0\0\0", b"\xff\xff\0\0"),
}


@pytest.mark.filterwarnings("ignore:.*EXIF data")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kind", DAMAGED_EXIF)
def test_an_image_with_unreadable_exif_is_upright_and_noted(form, kind):
    decoded = decode(encode(IMAGE, form, exif=DAMAGED_EXIF[kind]), "a.jpg", SETTINGS)
    assert decoded.notes == (Note(NoteKind.UNREADABLE_EXIF),)
    np.testing.assert_array_equal(
        decoded.image, decode(encode(IMAGE, form), "a.jpg", SETTINGS).image
    )


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_sound_exif_rotates_without_a_note(form):
    decoded = decode(encode(IMAGE, form, exif=GOOD_EXIF), "a.jpg", SETTINGS)
    plain = decode(encode(IMAGE, form), "a.jpg", SETTINGS).image
    assert decoded.notes == ()
    np.testing.assert_array_equal(decoded.image, plain.transpose(Image.Transpose.ROTATE_270))


@pytest.mark.parametrize("value", [0, 1, 9, 60_000])
def test_an_orientation_that_does_not_exist_is_upright(value):
    exif = GOOD_EXIF.replace(b"\x06\0\0\0", struct.pack("<HH", value, 0))
    decoded = decode(encode(IMAGE, "PNG", exif=exif), "a.png", SETTINGS)
    assert (decoded.image.size, decoded.notes) == (IMAGE.size, ())


def test_empty_exif_has_no_note():
    for exif in (b"", b"Exif\0\0"):
        decoded = decode(encode(IMAGE, "WEBP", exif=exif), "a.webp", SETTINGS)
        assert decoded.notes == ()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_large_colour_profile_does_not_change_the_pixels(form):
    raw = encode(IMAGE, form, icc_profile=RNG.bytes(5 << 20))
    decoded = decode(raw, "a", SETTINGS)
    assert decoded.notes == ()
    np.testing.assert_array_equal(decoded.image, decode(encode(IMAGE, form), "a", SETTINGS).image)


def test_a_profile_above_the_limit_is_refused():
    assert error_of(encode(IMAGE, "PNG", icc_profile=bytes((64 << 20) + 1))) == (
        "a.jpg: a text or colour profile in it has over 64 MB when decompressed, or all have over "
        "256 MB; save the image without them, or leave out such images with --on-error skip"
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG", "AVIF"])
def test_the_limit_of_pixels_is_that_of_the_settings(form):
    raw = encode(IMAGE, form)
    assert decode(raw, "a", DecodeSettings(max_pixels=240)).image.size == (20, 12)
    with pytest.raises(ExtractError) as caught:
        decode(raw, "a", DecodeSettings(max_pixels=239))
    assert str(caught.value) == (
        "a: the image has 240 pixels, more than the limit of 239; raise it with --max-pixels 240, "
        "or leave out such images with --on-error skip"
    )
