"""Decode image files to upright RGB images."""

import io
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from clip_cfr.cache.packages import missing_package
from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.images.content import describe_content, is_dicom, is_heic
from clip_cfr.extract.images.deep import scale_colours, scale_grey, scale_high_bytes
from clip_cfr.extract.images.formats import (
    FORMATS,
    HEIF,
    MAX_TEXT_BYTES,
    MAX_TEXTS_BYTES,
    limit_pixels,
    register_heif,
)
from clip_cfr.extract.images.notes import Note, NoteKind
from clip_cfr.extract.images.orientation import read_transpose
from clip_cfr.extract.images.settings import DecodeSettings
from clip_cfr.extract.images.storage import (
    HIGH_BYTES,
    LOW_BYTE_MODES,
    find_storage,
    name_planes,
)

SKIP = "leave out such images with --on-error skip"
REMEDY = f"repair or replace the file, or {SKIP}"


@dataclass(frozen=True)
class DecodedImage:
    """An image in mode RGB, upright, with observations about its file.

    Attributes:
        image: the image.
        notes: the observations; empty for a usual file.
    """

    image: Image.Image
    notes: tuple[Note, ...] = ()


def decode_image(
    raw: bytes | np.ndarray, name: str, settings: DecodeSettings | None = None
) -> Image.Image:
    """Decode an image to mode RGB and rotate it to its EXIF orientation; see `decode`.

    The notes are dropped. Without `settings`, the defaults apply.
    """
    return decode(raw, name, settings or DecodeSettings()).image


def decode(raw: bytes | np.ndarray, name: str, settings: DecodeSettings) -> DecodedImage:
    """Decode an image to mode RGB, rotate it to its EXIF orientation and note what is unusual.

    The alpha channel is dropped without blending, as in transformers. 16-bit pixels are scaled to 8
    bits. The function is thread-safe, if all threads give the same limit of pixels.

    Args:
        raw: an encoded file, or decoded uint8 pixels of shape (height, width, 3), which are taken
            as they are.
        name: the image's name in error messages.
        settings: the limit of pixels, and the bits that 16-bit pixels use.

    Raises:
        ExtractError: the file is damaged, holds no image, holds one that is too large, or needs a
            package that is not installed.
        MemoryError: the image does not fit in memory.
    """
    if isinstance(raw, np.ndarray):
        return DecodedImage(Image.fromarray(raw))
    limit_pixels(settings.max_pixels)
    try:
        image, notes = decode_file(raw, settings)
        return DecodedImage(image, tuple(notes))
    except MemoryError:
        raise
    # Pillow lets through whatever its parsers raise on a damaged file: OSError, SyntaxError,
    # struct.error, IndexError and more.
    except Exception as error:
        raise ExtractError(f"{name}: {describe_error(raw, error)}") from error


def decode_file(raw: bytes, settings: DecodeSettings) -> tuple[Image.Image, list[Note]]:
    """Decode a file to an upright RGB image and notes; let all exceptions through.

    Unreadable EXIF data gives a note, and the image is taken as upright.
    """
    if is_dicom(raw):
        from clip_cfr.extract.images.dicom import read_dicom

        image, notes = read_dicom(raw, settings.max_pixels)
        return image.convert("RGB"), notes
    if is_heic(raw):
        register_heif()
    with Image.open(io.BytesIO(raw), formats=(HEIF,) if is_heic(raw) else FORMATS) as image:
        name_planes(image)
        stored = find_storage(image, raw)
        image.load()
        converted, notes = convert_to_rgb(image, raw, stored, settings.bit_depth)
        try:
            transpose = read_transpose(image)
        except ValueError:
            return converted, [*notes, Note(NoteKind.UNREADABLE_EXIF)]
        return converted if transpose is None else converted.transpose(transpose), notes


def convert_to_rgb(
    image: Image.Image, raw: bytes, stored: str, bit_depth: int
) -> tuple[Image.Image, list[Note]]:
    """Convert a loaded image of any integer mode to RGB.

    Args:
        image: the loaded image.
        raw: its encoded file.
        stored: storage of the image, see `find_storage`.
        bit_depth: number of bits that 16-bit pixels use.

    Returns:
        The image and notes on the range of 16-bit pixels.

    Raises:
        ValueError: the pixels are floating-point numbers or have more than 16 bits, or a bit depth
            other than 16 needs bytes that Pillow does not read.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels, expected integers of 8 or 16 bits")
    if image.mode.startswith("I"):
        grey, notes = scale_grey(image, stored, bit_depth)
        return grey.convert("RGB"), notes
    if stored in LOW_BYTE_MODES:
        return scale_colours(raw, image, stored, bit_depth)
    if stored == HIGH_BYTES:
        return scale_high_bytes(image, bit_depth)
    if isinstance(image.info.get("transparency"), bytes):
        # RGBA in between gives the same colours as RGB at once, without Pillow's warning.
        image = image.convert("RGBA")
    return image.convert("RGB"), []


def without_remedy(message: str) -> str:
    """Return the message of an unreadable image without the advice that ends it.

    That is the advice to repair the file or to give --on-error skip, which is given already.
    """
    return message.removesuffix(f"; {REMEDY}").removesuffix(f", or {SKIP}")


def describe_error(raw: bytes, error: Exception) -> str:
    """Return the reason why a file cannot be decoded, with the remedy, without the file's name.

    Args:
        raw: the file.
        error: the exception of decoding it.
    """
    if not raw:
        return f"the file is empty; {REMEDY}"
    if isinstance(error, ModuleNotFoundError):
        return f"{missing_package(error)}, or {SKIP}"
    if isinstance(error, UnidentifiedImageError):
        return f"the file is {describe_content(raw)}; {REMEDY}"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        count = int(re.search(r"\((\d+) pixels\)", str(error))[1])
        return (
            f"the image has {count:,} pixels, more than the limit of {Image.MAX_IMAGE_PIXELS:,}; "
            f"raise it with --max-pixels {count}, or {SKIP}"
        )
    if "MAX_TEXT" in str(error):
        return (
            f"a text or colour profile in it has over {MAX_TEXT_BYTES >> 20} MB when decompressed, "
            f"or all have over {MAX_TEXTS_BYTES >> 20} MB; save the image without them, or {SKIP}"
        )
    return f"the image cannot be decoded ({' '.join(str(error).split())}); {REMEDY}"
