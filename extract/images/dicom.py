"""Read a DICOM file as an 8-bit image, as a viewer shows it."""

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from clip_cfr.extract.images.notes import Note, NoteKind

if TYPE_CHECKING:
    from pydicom import Dataset

SIGNATURE, SIGNATURE_OFFSET = b"DICM", 128
GREY = ("MONOCHROME1", "MONOCHROME2")
WHITE_IS_ZERO = "MONOCHROME1"
PALETTE = "PALETTE COLOR"
# The standard's least width of a linear window; devices that have none also write 0.
MIN_WIDTH, LINEAR = 1, "LINEAR"
# Distance from the centre of a window at which its output ends, in widths.
FAR = 100

# About values that break a detail of the standard; see the filters in extract.images.formats.
warnings.filterwarnings("ignore", module=r"pydicom\b")


def read_dicom(raw: bytes, max_pixels: int) -> tuple[Image.Image, list[Note]]:
    """Decode a DICOM file of one frame to an image of mode L or RGB, and notes.

    Grey values are rescaled and windowed as the file says; of several windows the first counts.
    Without a window, the smallest value becomes black and the largest white, with a note.

    Args:
        raw: the file.
        max_pixels: number of pixels above which the image is refused.

    Raises:
        ModuleNotFoundError: pydicom is not installed.
        ValueError: the file has no image or several frames, or no decoder of its compression is
            installed.
        Image.DecompressionBombError: the image has too many pixels.
    """
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(raw), force=True)
    check_single_frame(dataset)
    num_pixels = int(dataset.Rows) * int(dataset.Columns)
    if num_pixels > max_pixels:
        raise Image.DecompressionBombError(f"Image size ({num_pixels} pixels) exceeds the limit")
    return render_values(dataset, decode_frame(dataset))


def check_single_frame(dataset: "Dataset") -> None:
    """Raise ValueError if a DICOM file has no image, or has several."""
    for name in ("Rows", "Columns", "PixelData"):
        if name not in dataset:
            raise ValueError(f"a DICOM file without an image: it has no {name}")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ValueError(f"a DICOM file of {frames} frames, expected one: write each to a file")


def decode_frame(dataset: "Dataset") -> Shaped[np.ndarray, "height width *channels"]:
    """Return the stored values of a DICOM image; colours other than a palette's as RGB.

    Raises:
        ValueError: they cannot be decoded; names the transfer syntax.
    """
    try:
        return dataset.pixel_array
    # pydicom's decoders raise RuntimeError, NotImplementedError, AttributeError and others.
    except Exception as error:
        syntax = getattr(dataset.file_meta.get("TransferSyntaxUID"), "name", "unknown")
        # pydicom names the packages that it lacks in further lines.
        reason = " ".join(str(error).split())
        remedy = (
            "; install the decoder of pydicom that it names, or decompress the file, for example "
            "with `gdcmconv --raw`"
        )
        raise ValueError(
            f"DICOM of transfer syntax {syntax}: {reason}"
            f"{remedy if isinstance(error, NotImplementedError | RuntimeError) else ''}"
        ) from error


def render_values(
    dataset: "Dataset", values: Shaped[np.ndarray, "height width *channels"]
) -> tuple[Image.Image, list[Note]]:
    """Return the stored values of a DICOM image as an 8-bit image, with notes.

    A palette or colours give mode RGB, grey values mode L, with black for the lowest value, or
    white as MONOCHROME1 says.
    """
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    kind = dataset.get("PhotometricInterpretation", GREY[-1])
    if kind == PALETTE:
        bits = dataset.RedPaletteColorLookupTableDescriptor[2]
        colours = apply_color_lut(values, dataset)[..., :3]
        return Image.fromarray(to_uint8(colours, 0, 2**bits - 1)), []
    if kind not in GREY:
        return Image.fromarray(to_uint8(values, 0, 2**dataset.BitsStored - 1)), []
    windowed, low, high, notes = apply_window(dataset, apply_modality_lut(values, dataset))
    grey = to_uint8(windowed, low, high)
    return Image.fromarray(255 - grey if kind == WHITE_IS_ZERO else grey), notes


def apply_window(
    dataset: "Dataset", values: Shaped[np.ndarray, "height width"]
) -> tuple[Shaped[np.ndarray, "height width"], float, float, list[Note]]:
    """Return grey values after windowing, the values of black and white, and notes.

    The file's table comes first, then its first window, if its width is large enough. Without
    either, black and white are the smallest and the largest value (`value_range`), the values are
    unchanged, and the notes hold `NO_WINDOW`; otherwise there are no notes.
    """
    from pydicom.pixels import apply_voi, apply_windowing

    if dataset.get("VOILUTSequence"):
        bits = dataset.VOILUTSequence[0].LUTDescriptor[2]
        return apply_voi(np.rint(values).astype(np.int32), dataset), 0, 2**bits - 1, []
    center, width = (first_number(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    is_linear = (dataset.get("VOILUTFunction") or LINEAR) == LINEAR
    if center is None or width is None or width <= 0 or (is_linear and width < MIN_WIDTH):
        return values, *value_range(dataset, values), [Note(NoteKind.NO_WINDOW)]
    ends = np.array([center - FAR * width, center + FAR * width])
    low, high = apply_windowing(ends, dataset)
    return apply_windowing(values, dataset), low, high, []


def value_range(
    dataset: "Dataset", values: Shaped[np.ndarray, "height width"]
) -> tuple[float, float]:
    """Return the smallest and largest value without padding; of all values if all are padding."""
    from pydicom.pixels import apply_modality_lut

    padding = dataset.get("PixelPaddingValue")
    if isinstance(padding, int):
        inside = values[values != apply_modality_lut(np.array([padding]), dataset)[0]]
        values = inside if inside.size else values
    return float(values.min()), float(values.max())


def to_uint8(
    values: Shaped[np.ndarray, "..."], low: float, high: float
) -> UInt8[np.ndarray, "..."]:
    """Map values from `low` to `high` to 0 to 255, rounded; those outside become 0 or 255."""
    scaled = (values.astype(np.float64) - low) * (255 / max(high - low, 1e-9))
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)


def first_number(value: object) -> float | None:
    """Return a number, or the first one of several, as a float; None if there is none.

    Args:
        value: a number, a sequence of numbers as pydicom returns for several values, or None or an
            empty value. A text is not converted: it would be taken for a sequence.
    """
    values = [value] if isinstance(value, int | float) else list(value or ())
    return float(values[0]) if values else None
