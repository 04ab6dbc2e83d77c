"""One image, whatever its file holds, as upright RGB."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from clip_cfr.extract.errors import ExtractError
from clip_cfr.extract.manifest.image_source import ImageSource

# Without this list Pillow also tries formats that start other programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
# A strip of 1 x 80000 pixels passes Pillow's limit and fills the memory once its short side is
# scaled up to the 336 of CLIP.
MAX_ASPECT = 200
REMEDY = "repair or replace the file, or leave out such images with --on-error skip"

# Filters belong to the process, so they are set once and never inside a thread. Between its limit
# and twice its limit Pillow only warns of a decompression bomb; here the limit is a limit. What
# else it warns of (odd EXIF entries, say) does not touch the pixels.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.simplefilter("error", Image.DecompressionBombWarning)


def read_image(images: ImageSource, row: int, name: str) -> Image.Image:
    """The image of a row, as `decode` gives it; safe to call in threads.

    Raises:
        ExtractError: the file cannot be read, or `decode` refuses it.
    """
    try:
        raw = images.read(row)
    except OSError as error:
        raise ExtractError(
            f"{name}: the file cannot be read ({error.strerror}); {REMEDY}"
        ) from error
    return decode(raw, name)


def decode(raw: bytes | np.ndarray, name: str) -> Image.Image:
    """The image in mode RGB, turned as its EXIF orientation says; safe to call in threads.

    `raw` is an encoded file, or pixels as uint8 (height, width, 3). Transparency is dropped, not
    blended, as transformers does; 16-bit grey is scaled to 8 bits.

    Raises:
        ExtractError: the file holds no image that can be read whole, or one too large to decode.
    """
    if isinstance(raw, np.ndarray):
        return Image.fromarray(raw)
    try:
        return upright_rgb(raw)
    # Pillow passes on whatever a damaged file makes its parsers meet: OSError, SyntaxError,
    # struct.error, IndexError and more.
    except Exception as error:
        raise ExtractError(f"{name}: {reason(raw, error)}; {REMEDY}") from error


def upright_rgb(raw: bytes) -> Image.Image:
    """The decoded file; raises what Pillow raises."""
    with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
        check_sides(*image.size)
        return rgb(ImageOps.exif_transpose(image))


def check_sides(width: int, height: int) -> None:
    """Raises ValueError where one side is more than MAX_ASPECT times the other."""
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ValueError(f"{width} x {height} pixels, one side over {MAX_ASPECT} times the other")


def rgb(image: Image.Image) -> Image.Image:
    """The image in mode RGB."""
    if image.mode == "F":
        raise ValueError("floating-point pixels, expected integers of 8 or 16 bits")
    if image.mode.startswith("I"):
        image = eight_bits(image)
    if isinstance(image.info.get("transparency"), bytes):
        # The same colours as straight to RGB, without Pillow's warning that asks for this step.
        image = image.convert("RGBA")
    return image.convert("RGB")


def eight_bits(image: Image.Image) -> Image.Image:
    """A 16-bit grey image scaled to 8 bits; Pillow's own conversion would clip at 255."""
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError("32-bit grey pixels, expected 8 or 16 bits")
    return Image.fromarray(np.round(pixels / 257).astype(np.uint8))


def reason(raw: bytes, error: Exception) -> str:
    """What is wrong with the file, in a few words."""
    if not raw:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return f"no image format that is known; the file begins with {raw[:16]!r}"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"too large to decode safely ({error})"
    return f"the image cannot be decoded ({error})"
