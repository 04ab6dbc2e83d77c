"""Decode image files to upright RGB images."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from clip_cfr.extract.errors import ExtractError

# Without this list Pillow also tries formats that start other programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
# A strip of 1 x 80000 pixels passes Pillow's limit, but takes gigabytes once its short side has
# been scaled up to CLIP's 336 pixels.
MAX_ASPECT_RATIO = 200
REMEDY = "repair or replace the file, or leave out such images with --on-error skip"

# Warning filters are global to the process: set them once, never inside a thread. Pillow only warns
# of a decompression bomb between its limit and twice its limit; here every image above the limit is
# an error. Pillow's other warnings, such as those about odd EXIF entries, do not affect the pixels.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.simplefilter("error", Image.DecompressionBombWarning)


def decode_image(raw: bytes | np.ndarray, name: str) -> Image.Image:
    """Decode an image to mode RGB and rotate it to its EXIF orientation.

    The alpha channel is dropped without blending, as in transformers. 16-bit grey is scaled to 8
    bits. The function is thread-safe.

    Args:
        raw: an encoded file, or decoded uint8 pixels of shape (height, width, 3).
        name: the image's name in error messages.

    Raises:
        ExtractError: the file is damaged, holds no image, or holds one that is too large.
    """
    if isinstance(raw, np.ndarray):
        return Image.fromarray(raw)
    try:
        return decode_upright_rgb(raw)
    # Pillow lets through whatever its parsers raise on a damaged file: OSError, SyntaxError,
    # struct.error, IndexError and more.
    except Exception as error:
        raise ExtractError(f"{name}: {describe_error(raw, error)}; {REMEDY}") from error


def decode_upright_rgb(raw: bytes) -> Image.Image:
    """Decode a file and let Pillow's exceptions through."""
    with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
        check_aspect_ratio(*image.size)
        return convert_to_rgb(ImageOps.exif_transpose(image))


def check_aspect_ratio(width: int, height: int) -> None:
    """Raise ValueError if one side is more than MAX_ASPECT_RATIO times the other."""
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ValueError(
            f"{width} x {height} pixels, one side over {MAX_ASPECT_RATIO} times the other"
        )


def convert_to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any integer mode to RGB.

    Raises:
        ValueError: the pixels are floating-point numbers or have more than 16 bits.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels, expected integers of 8 or 16 bits")
    if image.mode.startswith("I"):
        image = scale_to_8_bits(image)
    if isinstance(image.info.get("transparency"), bytes):
        # RGBA in between gives the same colours as RGB at once, without Pillow's warning.
        image = image.convert("RGBA")
    return image.convert("RGB")


def scale_to_8_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion would clip at 255."""
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError("32-bit grey pixels, expected 8 or 16 bits")
    return Image.fromarray(np.round(pixels / 257).astype(np.uint8))


def describe_error(raw: bytes, error: Exception) -> str:
    """Return a phrase that says why a file cannot be decoded."""
    if not raw:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return f"not a known image format; the file begins with {raw[:16]!r}"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"too large to decode safely ({error})"
    return f"the image cannot be decoded ({error})"
