"""Images of 16 bits per channel whose values use fewer."""

import io

import numpy as np
import pytest
from PIL import Image

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import REMEDY, decode
from clip_cfr.extract.images.notes import Note, NoteKind
from clip_cfr.extract.images.settings import DecodeSettings
from tests.extract.images.deep_files import encode, encode_png, encode_tiff

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 4096, (6, 9))
COLOURS = RNG.integers(0, 4096, (6, 9, 3))
GREY[0, 0] = COLOURS[0, 0, 0] = 4095
OPAQUE = np.full((6, 9), 65535)
GREY_ALPHA, COLOURS_ALPHA = np.dstack([GREY, OPAQUE]), np.dstack([COLOURS, OPAQUE])

GREY_FILES = {
    "png": encode_png(GREY),
    "png with alpha": encode_png(GREY_ALPHA),
    "tiff": encode_tiff(GREY),
    "tiff, big endian": encode_tiff(GREY, ">"),
    "tiff, deflated": encode_tiff(GREY, is_deflated=True),
    "tiff, big endian, deflated": encode_tiff(GREY, ">", is_deflated=True),
    "pgm": b"P5 9 6 65535\n" + GREY.astype(">u2").tobytes(),
    "jpeg 2000": encode(Image.fromarray(GREY.astype(np.uint16)), "JPEG2000"),
}
COLOUR_FILES = {
    "png": encode_png(COLOURS),
    "png with alpha": encode_png(COLOURS_ALPHA),
    "tiff": encode_tiff(COLOURS),
    "tiff, big endian": encode_tiff(COLOURS, ">"),
    "tiff, deflated": encode_tiff(COLOURS, is_deflated=True),
    "tiff, big endian, deflated": encode_tiff(COLOURS, ">", is_deflated=True),
    "tiff with alpha": encode_tiff(COLOURS_ALPHA, alpha=2),
    "tiff with alpha, deflated": encode_tiff(COLOURS_ALPHA, alpha=2, is_deflated=True),
    "tiff with a spare channel": encode_tiff(COLOURS_ALPHA, alpha=0),
    "tiff of planes": encode_tiff(COLOURS, is_planar=True),
    "tiff of planes, big endian": encode_tiff(COLOURS, ">", is_planar=True),
    "tiff of planes with alpha": encode_tiff(COLOURS_ALPHA, is_planar=True, alpha=2),
}
# Files of which Pillow gives the high bytes alone.
COARSE_FILES = {
    "tiff of planes, deflated": encode_tiff(COLOURS, is_planar=True, is_deflated=True),
    "tiff with premultiplied alpha": encode_tiff(COLOURS_ALPHA, alpha=1),
    "ppm": b"P6 9 6 65535\n" + COLOURS.astype(">u2").tobytes(),
}
FILES = {
    **{f"grey {kind}": (raw, np.dstack([GREY] * 3)) for kind, raw in GREY_FILES.items()},
    **{f"colour {kind}": (raw, COLOURS) for kind, raw in COLOUR_FILES.items()},
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("bit_depth", [10, 12, 14])
def test_values_are_scaled_by_the_bit_depth(kind, bit_depth):
    raw, values = FILES[kind]
    decoded = decode(raw, "deep", DecodeSettings(bit_depth=bit_depth))
    white = 2**bit_depth - 1
    np.testing.assert_array_equal(decoded.image, np.round(np.minimum(values, white) / white * 255))
    clipped = [Note(NoteKind.CLIPPED, 4095)] if white < 4095 else []
    assert decoded.notes == (Note(NoteKind.DEEP, 4095), *clipped)


@pytest.mark.parametrize("kind", [*FILES, *COARSE_FILES])
def test_dark_values_are_noted_at_the_full_bit_depth(kind):
    raw, values = FILES.get(kind) or (COARSE_FILES[kind], COLOURS)
    decoded = decode(raw, "deep", DecodeSettings())
    difference = np.asarray(decoded.image).astype(float) - values / 257
    assert abs(difference).max() < 1
    (note,) = decoded.notes
    assert note.kind is NoteKind.DEEP
    # Where the low bytes are not read, the least value that has the largest high byte is unknown.
    assert 4095 <= note.value < 4095 + 257


@pytest.mark.parametrize("kind", COARSE_FILES)
def test_a_file_without_its_low_bytes_is_refused_at_a_lower_bit_depth(kind):
    with pytest.raises(ExtractError) as caught:
        decode(COARSE_FILES[kind], "deep", DecodeSettings(bit_depth=12))
    assert str(caught.value) == (
        "deep: the image cannot be decoded (--bit-depth 12 needs the low bytes of its 16-bit "
        "colours, which Pillow does not read from a file of this kind; convert it to a 16-bit PNG "
        f"file); {REMEDY}"
    )


@pytest.mark.parametrize("bit_depth", [12, 16])
def test_zero_may_be_white(bit_depth):
    raw = encode_tiff(GREY, white_is_zero=True)
    decoded = decode(raw, "deep", DecodeSettings(bit_depth=bit_depth))
    expected = 255 - np.round(GREY / (2**bit_depth - 1) * 255)
    np.testing.assert_array_equal(np.asarray(decoded.image)[..., 1], expected)
    assert decoded.notes == (Note(NoteKind.DEEP, 4095),)


DECLARED = {
    "pgm": (b"P5 9 6 4095\n" + GREY.astype(">u2").tobytes(), np.dstack([GREY] * 3)),
    "ppm": (b"P6 9 6 4095\n" + COLOURS.astype(">u2").tobytes(), COLOURS),
}


@pytest.mark.parametrize("kind", DECLARED)
@pytest.mark.parametrize("bit_depth", [12, 16])
def test_a_range_that_the_file_declares_precedes(kind, bit_depth):
    raw, values = DECLARED[kind]
    decoded = decode(raw, "declared", DecodeSettings(bit_depth=bit_depth))
    assert abs(np.asarray(decoded.image).astype(float) - values / 4095 * 255).max() < 1
    assert decoded.notes == ()


def test_files_of_8_bits_have_no_notes():
    image = Image.fromarray(COLOURS.astype(np.uint8))
    for form in ("PNG", "TIFF", "PPM", "JPEG2000", "BMP"):
        raw = encode(image, form)
        decoded = decode(raw, form, DecodeSettings(bit_depth=12))
        with Image.open(io.BytesIO(raw)) as opened:
            np.testing.assert_array_equal(decoded.image, opened)
        assert decoded.notes == ()
