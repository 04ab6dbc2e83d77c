"""DICOM and HEIC files, whose readers are extras."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.decode import REMEDY, SKIP, decode
from clip_cfr.extract.images.notes import Note, NoteKind
from clip_cfr.extract.images.settings import DecodeSettings
from tests.extract.images.deep_files import encode

pydicom = pytest.importorskip("pydicom")
pillow_heif = pytest.importorskip("pillow_heif")

SETTINGS = DecodeSettings()
VALUES = np.arange(0, 4096, 4).reshape(32, 32)


def encode_dicom(values: np.ndarray, *, bits: int = 12, has_header: bool = True, **fields) -> bytes:
    """Return a DICOM file with explicit little-endian values; `fields` are its elements."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 1 if values.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if values.ndim == 2 else "RGB"
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.BitsAllocated = 8 if bits == 8 else 16
    dataset.PixelRepresentation = int(values.min() < 0)
    kind = {(8, 0): np.uint8, (16, 0): np.uint16, (16, 1): np.int16}
    dataset.PixelData = values.astype(
        kind[dataset.BitsAllocated, dataset.PixelRepresentation]
    ).tobytes()
    for name, value in fields.items():
        setattr(dataset, name, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue() if has_header else buffer.getvalue()[132:]


def decode_grey(raw: bytes) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Return the values of one channel and the notes of a grey image."""
    decoded = decode(raw, "scan", SETTINGS)
    pixels = np.asarray(decoded.image)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0], decoded.notes


def window(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """Return values through the linear window of the standard (PS3.3 C.11.2.1.2), in [0, 255]."""
    scaled = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    return np.clip(scaled, 0, 255)


def test_a_window_is_applied():
    pixels, notes = decode_grey(encode_dicom(VALUES, WindowCenter=1500, WindowWidth=1000))
    assert abs(pixels - window(VALUES, 1500, 1000)).max() <= 0.51
    assert notes == ()


def test_the_first_of_several_windows_counts():
    raw = encode_dicom(VALUES, WindowCenter=[1500, 40], WindowWidth=[1000, 400])
    pixels, _ = decode_grey(raw)
    assert abs(pixels - window(VALUES, 1500, 1000)).max() <= 0.51


def test_the_rescale_slope_precedes_the_window():
    fields = {"RescaleSlope": 2, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    pixels, notes = decode_grey(encode_dicom(VALUES - 500, bits=16, **fields))
    assert abs(pixels - window((VALUES - 500) * 2.0 - 1024, 40, 400)).max() <= 0.51
    assert notes == ()


def test_zero_is_white_in_monochrome1():
    fields = {"WindowCenter": 1500, "WindowWidth": 1000}
    plain, _ = decode_grey(encode_dicom(VALUES, **fields))
    inverted, _ = decode_grey(
        encode_dicom(VALUES, PhotometricInterpretation="MONOCHROME1", **fields)
    )
    np.testing.assert_array_equal(inverted, 255 - plain)
    assert inverted[0, 0] == 255


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"WindowCenter": None, "WindowWidth": None},
        {"WindowCenter": 100, "WindowWidth": 0},
    ],
)
def test_without_a_window_the_range_of_the_values_counts(fields: dict):
    pixels, notes = decode_grey(encode_dicom(VALUES + 3, bits=16, **fields))
    np.testing.assert_array_equal(pixels, np.round(VALUES / 4092 * 255))
    assert notes == (Note(NoteKind.NO_WINDOW),)


def test_padding_is_outside_of_the_range():
    values = VALUES.copy()
    values[0, :] = 60_000
    pixels, _ = decode_grey(encode_dicom(values, bits=16, PixelPaddingValue=60_000))
    assert pixels[1:].min() == 0
    assert pixels[1:].max() == 255


def test_colours_are_read():
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3))
    decoded = decode(encode_dicom(colours, bits=8), "scan.dcm", SETTINGS)
    np.testing.assert_array_equal(decoded.image, colours)
    assert decoded.notes == ()


def test_a_file_without_header_is_read_whatever_its_name():
    expected, _ = decode_grey(encode_dicom(VALUES))
    pixels, _ = decode_grey(encode_dicom(VALUES, has_header=False))
    np.testing.assert_array_equal(pixels, expected)


def test_another_image_with_the_ending_of_dicom_is_read():
    image = Image.fromarray(np.full((4, 5, 3), 7, np.uint8))
    np.testing.assert_array_equal(decode(encode(image, "PNG"), "a.dcm", SETTINGS).image, image)


DAMAGED = {
    "several frames": (
        encode_dicom(VALUES, NumberOfFrames=3),
        "the image cannot be decoded (a DICOM file of 3 frames, expected one: write each to a "
        "file)",
    ),
    "no image": (
        encode_dicom(VALUES)[:340],
        "the image cannot be decoded (a DICOM file without an image: it has no Rows)",
    ),
    "truncated": (
        encode_dicom(VALUES)[:-500],
        "the image cannot be decoded (DICOM of transfer syntax Explicit VR Little Endian: The "
        "number of bytes of pixel data is less than expected (1548 vs 2048 bytes)",
    ),
    "text": (b"Not Found", "the file is text instead of an image"),
    "empty": (b"", "the file is empty"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_named(kind):
    raw, reason = DAMAGED[kind]
    with pytest.raises(ExtractError) as caught:
        decode(raw, "scan.dcm", SETTINGS)
    assert str(caught.value).startswith(f"scan.dcm: {reason}")
    assert str(caught.value).endswith(REMEDY)


def compress(raw: bytes, syntax: str, content: bytes) -> bytes:
    """Return a DICOM file whose pixels are one compressed frame of a transfer syntax."""
    dataset = pydicom.dcmread(io.BytesIO(raw))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = pydicom.encaps.encapsulate([content])
    dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_compressed_values_are_decoded():
    frame = encode(Image.fromarray(VALUES.astype(np.uint16)), "JPEG2000", no_jp2=True)
    plain = encode_dicom(VALUES, bits=16, WindowCenter=1500, WindowWidth=1000)
    pixels, _ = decode_grey(compress(plain, pydicom.uid.JPEG2000Lossless, frame))
    np.testing.assert_array_equal(pixels, decode_grey(plain)[0])


def test_the_missing_decoder_of_a_compression_is_named():
    raw = compress(encode_dicom(VALUES), pydicom.uid.JPEGLSLossless, b"\xff\xd8\xff\xf7abcd")
    with pytest.raises(ExtractError) as caught:
        decode(raw, "scan.dcm", SETTINGS)
    message = str(caught.value)
    start = "the image cannot be decoded (DICOM of transfer syntax JPEG-LS Lossless Image"
    assert message.startswith(f"scan.dcm: {start} Compression: ")
    assert "pylibjpeg" in message
    assert message.endswith(
        "; install the decoder of pydicom that it names, or decompress the file, for example with "
        f"`gdcmconv --raw`); {REMEDY}"
    )


def test_the_limit_of_pixels_holds_for_dicom():
    with pytest.raises(ExtractError) as caught:
        decode(encode_dicom(VALUES), "scan.dcm", DecodeSettings(max_pixels=1000))
    assert str(caught.value) == (
        "scan.dcm: the image has 1,024 pixels, more than the limit of 1,000; raise it with "
        f"--max-pixels 1024, or {SKIP}"
    )


@pytest.fixture(scope="module")
def heic() -> bytes:
    """A HEIC file of a smooth image, 48 pixels wide and 32 high."""
    row = np.linspace(0, 255, 48)
    image = Image.fromarray(np.dstack([np.tile(row, (32, 1))] * 3).astype(np.uint8))
    pillow_heif.register_heif_opener()
    return encode(image, "HEIF", quality=90)


def test_heic_is_read_whatever_its_name(heic: bytes):
    decoded = decode(heic, "IMG_0001.jpg", SETTINGS)
    assert (decoded.image.mode, decoded.image.size) == ("RGB", (48, 32))
    assert decoded.notes == ()
    difference = np.asarray(decoded.image).astype(float) - np.linspace(0, 255, 48)[:, None]
    assert abs(difference).mean() < 4


def test_a_damaged_heic_file_is_named(heic: bytes):
    with pytest.raises(ExtractError) as caught:
        decode(heic[:100], "a.heic", SETTINGS)
    assert str(caught.value) == f"a.heic: the file is a damaged HEIC image; {REMEDY}"
    with pytest.raises(ExtractError, match=r"^a.heic: the image cannot be decoded \(.*\); repair"):
        decode(heic[:-50], "a.heic", SETTINGS)


@pytest.mark.parametrize(
    ("package", "extra"), [("pydicom", "extract,dicom"), ("pillow_heif", "extract,heif")]
)
def test_a_missing_reader_is_named(package: str, extra: str, heic: bytes, tmp_path):
    raw = heic if package == "pillow_heif" else encode_dicom(VALUES)
    (tmp_path / "image").write_bytes(raw)
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from clip_cfr.extract.errors import ExtractError\n"
        "from clip_cfr.extract.images.decode import decode_image\n"
        "try:\n    decode_image(open('image', 'rb').read(), 'image')\n"
        "except ExtractError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        f"image: the package {package} is missing; install it with: pip install "
        f"'clip-cfr[{extra}]', or {SKIP}\n"
    )
